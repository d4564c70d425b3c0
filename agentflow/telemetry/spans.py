"""Spans, where somebody records them."""

from contextlib import AbstractContextManager, nullcontext

from opentelemetry import trace

_TRACER = trace.get_tracer("agentflow")
_NOBODY_RECORDS: AbstractContextManager[trace.Span] = nullcontext(trace.INVALID_SPAN)


def is_recording() -> bool:
    """Whether the application has set a tracer provider to record with."""
    provider = trace.get_tracer_provider()
    return not isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def current_span(name: str) -> AbstractContextManager[trace.Span]:
    """Start a span and make it the current one. For nobody to record, that would be a twentieth of a call."""
    return _TRACER.start_as_current_span(name) if is_recording() else _NOBODY_RECORDS
