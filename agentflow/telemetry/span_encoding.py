"""One span as a request of OTLP, in the few microseconds that a step can spare.

OpenTelemetry's own encoder builds some thirty protobuf messages for a span, and the resource's again each
time: half of what a span costs. What our spans consist of is written here byte by byte, after
opentelemetry-proto 1.x (``trace.proto``, ``common.proto``); whatever else a span may hold goes through
OpenTelemetry's. Both give the same message.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

_REMOTE = 0x300
_NOT_REMOTE = 0x100
"""Of a parent: whether it is in another process, and that this is known (``SpanFlags``)."""
_PLAIN = (str, bool, int, float)


class SpanEncoder:
    """Encodes spans, and remembers what many of them have in common."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._resource: tuple[Any, bytes, bytes] = (None, b"", b"")
        self._scopes: dict[tuple[str, str | None, str | None], tuple[bytes, bytes]] = {}

    def encoded(self, span: ReadableSpan) -> bytes:
        """An ``ExportTraceServiceRequest`` of this span alone."""
        scope = span.instrumentation_scope
        try:
            plain = _plain(span)
        except (UnicodeEncodeError, OverflowError):
            # A text with half a character, a number of more than 64 bits: that attribute is left out.
            plain = None
        if plain is None or scope is None or scope.attributes:
            return encode_spans([span]).SerializeToString()
        if self._resource[0] is not span.resource:
            self._resource = (span.resource, *_around_resource(span))
        key = (scope.name, scope.version, scope.schema_url)
        if key not in self._scopes:
            self._scopes[key] = _around_scope(span)
        head, tail = self._scopes[key]
        scope_spans = _field(0x12, head + _field(0x12, plain) + tail)
        return _field(0x0A, self._resource[1] + scope_spans + self._resource[2])


def _around_resource(span: ReadableSpan) -> tuple[bytes, bytes]:
    """What precedes and follows the scopes in a message of the span's resource."""
    message: Any = encode_spans([span]).resource_spans[0]
    return _field(0x0A, message.resource.SerializeToString()), _schema(message.schema_url)


def _around_scope(span: ReadableSpan) -> tuple[bytes, bytes]:
    """What precedes and follows the spans in a message of the span's scope."""
    message: Any = encode_spans([span]).resource_spans[0].scope_spans[0]
    return _field(0x0A, message.scope.SerializeToString()), _schema(message.schema_url)


def _schema(url: str) -> bytes:
    return _field(0x1A, url.encode()) if url else b""


def _plain(span: ReadableSpan) -> bytes | None:
    """The span, or nothing if it holds what spans seldom hold."""
    context = span.get_span_context()
    attributes = span.attributes or {}
    if (
        context is None
        or span.start_time is None
        or span.end_time is None
        or context.trace_state
        or span.events
        or span.links
        or span.dropped_attributes
        or span.dropped_events
        or span.dropped_links
        or not all(_is_plain(value) for value in attributes.values())
    ):
        return None
    parent = span.parent
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
        b"" if parent is None else b"\x22\x08" + parent.span_id.to_bytes(8, "big"),
        _field(0x2A, span.name.encode()),
        b"\x30",
        _varint(span.kind.value + 1),
        struct.pack("<BQBQ", 0x39, span.start_time, 0x41, span.end_time),
        *_attributes(attributes.items()),
        _field(0x7A, _status(span)),
        # Field 16, the first whose tag has two bytes.
        struct.pack("<HI", 0x0185, _REMOTE if parent is not None and parent.is_remote else _NOT_REMOTE),
    ]
    return b"".join(parts)


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(type(part) in _PLAIN for part in cast(tuple[Any, ...], value))
    return type(value) in _PLAIN


def _attributes(attributes: Iterable[tuple[str, Any]]) -> Iterable[bytes]:
    for key, value in attributes:
        yield _field(0x4A, _key(key) + _field(0x12, _any_value(value)))


def _any_value(value: Any) -> bytes:
    if type(value) is str:
        return _field(0x0A, value.encode())
    if type(value) is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if type(value) is int:
        # Negative numbers are those of 64 bits in two's complement.
        bits = value.to_bytes(8, "little", signed=True)
        return b"\x18" + _varint(int.from_bytes(bits, "little"))
    if type(value) is float:
        return struct.pack("<Bd", 0x21, value)
    return _field(0x2A, b"".join(_field(0x0A, _any_value(part)) for part in value))


@lru_cache(maxsize=512)
def _key(name: str) -> bytes:
    return _field(0x0A, name.encode())


def _status(span: ReadableSpan) -> bytes:
    message = _field(0x12, span.status.description.encode()) if span.status.description else b""
    code = span.status.status_code.value
    return message + b"\x18" + _varint(code) if code else message


def _field(tag: int, data: bytes) -> bytes:
    size = len(data)
    if size < 0x80:
        return bytes((tag, size)) + data
    return bytes((tag,)) + _varint(size) + data


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
