"""Which version of this library is installed."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGE = "agentflow-temporal"
UNKNOWN = "unknown"


@cache
def installed_version() -> str:
    """The version; ``unknown`` where it runs from its source and isn't installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:  # pragma: no cover - run from a source tree that isn't installed
        return UNKNOWN
