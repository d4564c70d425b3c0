"""What the adapters that speak HTTP share."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from agentflow.errors import MissingExtraError


def http_library(what: str, extra: str) -> Any:
    """The HTTP client's package.

    Args:
        what: Needs it; named in the error.
        extra: Brings it.

    Raises:
        MissingExtraError: it isn't installed.
    """
    try:
        import httpx2
    except ImportError as error:
        raise MissingExtraError(what, extra) from error
    return httpx2


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """What a ``Retry-After`` asks for: seconds or a date (RFC 9110). ``None`` for what can't be read."""
    if not header:
        return None
    if header.strip().isdigit() and len(header.strip()) < 10:
        return timedelta(seconds=int(header))
    try:
        then = parsedate_to_datetime(header)
    except (ValueError, TypeError):
        return None
    return max(then.replace(tzinfo=then.tzinfo or UTC) - now, timedelta(0))
