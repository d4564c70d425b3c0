"""What the adapters that speak HTTP share: bounded answers, URLs that are not told, when to ask again.

Whoever answers may send without end, a byte a minute, or a few kilobytes that unpack to gigabytes. Of an
answer no more is ever in memory than its reader keeps and one piece of ``PIECE`` bytes. Its head is held to
100 kB by the HTTP library. How long all of it may take, each caller says.
"""

import logging
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

from agentflow.core.urls import without_urls
from agentflow.errors import MissingExtraError

PIECE = 64 * 1024
"""Bytes of an answer that are unpacked at once."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Of an answer that is read as a whole, unpacked, where nobody says a smaller limit."""
ACCEPTED = {"Accept-Encoding": "gzip"}
"""What answers may be packed in."""

_UNPACKED = ("gzip", "x-gzip", "deflate")
_LOGGERS = ("httpx", "httpx2", "mcp.client.streamable_http", "mcp.shared._httpx_utils")


def http_library(what: str, extra: str) -> Any:
    """The HTTP client's package. What it logs from now on names hosts, and no more of URLs.

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
    hide_urls()
    return httpx2


def answers_up_to(http: Any, most: int | None = MAX_ANSWER_BYTES) -> dict[str, Any]:
    """The ``event_hooks`` of a client whose answers are bounded.

    Args:
        http: The client's package.
        most: Bytes of an answer, unpacked; what has more fails with ``ReadError``. ``None``: its reader
            counts.
    """
    bounded = _bounded_stream(http)

    async def bound(response: Any) -> None:
        packed = str(response.headers.get("Content-Encoding", "")).strip().lower()
        if packed in ("", "identity"):
            unpack: Callable[[bytes], Iterator[bytes]] = _pieces
        elif packed in _UNPACKED:
            unpack = _Unpacking(http.DecodingError).pieces
        else:
            raise http.DecodingError("the answer is packed in a way that nobody asked for")
        # The library would unpack each part that it receives as a whole.
        response.headers.pop("Content-Encoding", None)
        response.stream = bounded(response.stream, unpack, most)

    hooks: list[Callable[[Any], Awaitable[None]]] = [bound]
    return {"response": hooks}


@cache
def _bounded_stream(http: Any) -> Any:
    class Bounded(http.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, unpack: Callable[[bytes], Iterator[bytes]], most: int | None) -> None:
            self._stream = stream
            self._unpack = unpack
            self._most = most

        async def __aiter__(self) -> AsyncIterator[bytes]:
            length = 0
            async for raw in self._stream:
                for part in self._unpack(raw):
                    length += len(part)
                    if self._most is not None and length > self._most:
                        raise http.ReadError(f"the answer is longer than {self._most} bytes")
                    yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Bounded


def _pieces(raw: bytes) -> Iterator[bytes]:
    yield raw


class _Unpacking:
    """Of gzip and of zlib, a piece at a time."""

    def __init__(self, fault: type[Exception]) -> None:
        self._fault = fault
        self._inside = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def pieces(self, raw: bytes) -> Iterator[bytes]:
        try:
            while True:
                piece = self._inside.decompress(raw, PIECE)
                if piece:
                    yield piece
                raw = self._inside.unconsumed_tail
                # All of it may be taken in, and not all be out.
                if not raw and len(piece) < PIECE:
                    return
        except zlib.error as error:
            raise self._fault(f"the answer can't be unpacked: {error}") from None


def hide_urls() -> None:
    """Have the HTTP libraries' loggers tell no URLs: they log each request's, tokens and all."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _WithoutUrls) for one in logger.filters):
            logger.addFilter(_WithoutUrls())


class _WithoutUrls(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.msg, record.args = without_urls(record.getMessage()), ()
            if record.exc_info:
                record.exc_text = without_urls(logging.Formatter().formatException(record.exc_info))
                record.exc_info = None
        except Exception:
            record.msg, record.args, record.exc_info = "a line that can't be read", (), None
        return True


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """What a ``Retry-After`` asks for: seconds or a date (RFC 9110). ``None`` for what can't be read."""
    if not header:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header, re.ASCII):
        return timedelta(seconds=int(header))
    try:
        then = parsedate_to_datetime(header)
        return max(then.replace(tzinfo=then.tzinfo or UTC) - now, timedelta(0))
    except (ValueError, TypeError, OverflowError):
        return None
