"""A receiver of OTLP over HTTP that keeps what it got."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

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


class Receiver:
    """The server, from ``with`` to the end of its block."""

    def __init__(self, *, keeps: bool = True) -> None:
        """Make it.

        Args:
            keeps: Whether it looks at what it gets. Where time is measured it doesn't: with few cores its
                work would be taken for that of who sends.
        """
        self.spans: list[Received] = []
        spans, lock = self.spans, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if keeps:
                    found = list(_spans(ExportTraceServiceRequest.FromString(body)))
                    with lock:
                        spans.extend(found)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint: str = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


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
