"""The trace goes on in the systems that models and tools call."""

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()


def trace_headers() -> dict[str, str]:
    """W3C's ``traceparent`` of the current span; nothing where nobody records.

    Baggage stays here: what an application puts into it is not for providers.
    """
    headers: dict[str, str] = {}
    _W3C.inject(headers)
    return headers
