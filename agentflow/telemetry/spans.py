"""Spans, where somebody records them.

Their attributes are names, numbers and hashes: no text of models, tools or people. An exception is its type,
since its text may quote anything.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue
from temporalio import workflow

from agentflow.telemetry import semconv

Attributes = Mapping[str, AttributeValue]

_TRACER = trace.get_tracer("agentflow")
_NOBODY_RECORDS: AbstractContextManager[Span] = nullcontext(trace.INVALID_SPAN)


def is_recording() -> bool:
    """Whether the application has set a tracer provider to record with."""
    provider = trace.get_tracer_provider()
    return not isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def is_replay_safe() -> bool:
    """Whether that provider can record workflow code: Temporal's, which ``configure_tracing`` sets.

    Another would give each replay spans of its own.
    """
    # By name: its package needs the OpenTelemetry SDK, and so may not be importable.
    return any(
        kind.__name__ == "ReplaySafeTracerProvider" for kind in type(trace.get_tracer_provider()).__mro__
    )


def current_span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[Span]:
    """Start a span and make it the current one. For nobody to record, that would be a twentieth of a call."""
    return _started(name, attributes) if is_recording() else _NOBODY_RECORDS


def workflow_span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[Span]:
    """The same in workflow code: over all that it waits for, and once however often it is replayed."""
    if not is_replay_safe():
        return _NOBODY_RECORDS
    run = {semconv.CONVERSATION_ID: workflow.info().workflow_id}
    return _started(name, {**run, **(attributes or {})})


@contextmanager
def _started(name: str, attributes: Attributes | None) -> Generator[Span]:
    # start_as_current_span would go through three context managers more.
    started = _TRACER.start_span(name, attributes=attributes)
    with trace.use_span(
        started, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            # Of a failed activity, the type that says what failed.
            kind = getattr(error, "type", None) or type(error).__name__
            span.set_attribute(semconv.ERROR_TYPE, str(kind))
            span.set_status(Status(StatusCode.ERROR))
            raise
