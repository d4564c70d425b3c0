"""Which process, and which version of this library, something is from."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGE = "agentflow-temporal"


@cache
def installed_version() -> str:
    """This library's version."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:  # pragma: no cover - run from a source tree that isn't installed
        return "unknown"


def resource_of(service: str, more: Mapping[str, str] | None) -> Any:
    """The SDK's ``Resource``: what the environment says goes before what the code says."""
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource

    ours = Resource({SERVICE_NAME: service, **(more or {})}).merge(OTELResourceDetector().detect())
    return Resource.create().merge(ours)
