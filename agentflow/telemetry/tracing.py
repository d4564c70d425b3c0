"""Sets tracing up for a worker or a client. For applications; the library never calls it."""

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace

from agentflow.errors import ConfigurationError, MissingExtraError

MAX_ATTRIBUTE = 1_024
"""Characters of an attribute's text; of a longer one the beginning is recorded."""


def configure_tracing(
    *exporters: Any, service: str = "agentflow", resource: Mapping[str, str] | None = None
) -> Any:
    """Record spans of runs, those of workflow code included, and send them through these exporters.

    Call it once in a process, before ``Client.connect``. Spans are sent in batches, in the background: a
    collector that is slow or down holds nothing up, and what its queue (2,048 spans) can't hold is dropped.
    Shut the provider down at the end, so that the last batch is sent.

    Args:
        *exporters: Of OpenTelemetry's SDK; ``OTLPSpanExporter()`` reads ``OTEL_EXPORTER_OTLP_…``.
        service: ``service.name``, unless ``OTEL_SERVICE_NAME`` says another.
        resource: More attributes of the process.

    Returns:
        The tracer provider.

    Raises:
        MissingExtraError: the ``otel`` extra isn't installed.
        ConfigurationError: another provider is set already; workflow code could not be recorded.
    """
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import SpanLimits
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from temporalio.contrib.opentelemetry import create_tracer_provider
    except ImportError as error:
        raise MissingExtraError("tracing", "otel") from error
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        raise ConfigurationError("a tracer provider is set already: call configure_tracing before any other")
    # What the environment says goes before what the code says.
    ours = Resource({SERVICE_NAME: service, **(resource or {})}).merge(OTELResourceDetector().detect())
    provider = create_tracer_provider(
        resource=Resource.create().merge(ours), span_limits=SpanLimits(max_attribute_length=MAX_ATTRIBUTE)
    )
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider
