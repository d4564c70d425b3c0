"""A receiver of OTLP over HTTP that keeps what it got."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.otlp import OtlpServer

_FAILED = 2
"""``STATUS_CODE_ERROR`` of OTLP."""


@dataclass(frozen=True)
class Received:
    """One span."""

    trace: bytes
    id: bytes
    name: str
    attributes: dict[str, str | int | float]
    parent: bytes = b""
    start: int = 0
    """Nanoseconds since 1970."""
    end: int = 0
    failed: bool = False


class Receiver(OtlpServer):
    """A receiver that keeps the spans it got."""

    def __init__(self, *, keeps: bool = True) -> None:
        """Make it.

        Args:
            keeps: Whether it looks at what it gets. Where time is measured it doesn't: with few cores its
                work would be taken for that of who sends.
        """
        self.spans: list[Received] = []

        def take(path: str, headers: Mapping[str, str], body: bytes) -> None:
            if keeps:
                self.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))

        super().__init__(take)


def _spans(request: ExportTraceServiceRequest) -> Any:
    for part in request.resource_spans:
        for scope in part.scope_spans:
            for span in scope.spans:
                attributes = {one.key: _value(one.value) for one in span.attributes}
                yield Received(
                    trace=span.trace_id,
                    id=span.span_id,
                    name=span.name,
                    attributes=attributes,
                    parent=span.parent_span_id,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    failed=span.status.code == _FAILED,
                )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
