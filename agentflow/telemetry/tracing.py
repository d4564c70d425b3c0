"""Sets tracing up for a worker or a client. For applications; the library never calls it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.util.re import parse_env_headers

from agentflow.errors import ConfigurationError, MissingExtraError
from agentflow.telemetry.content import MAX_CONTENT, captures_content
from agentflow.telemetry.resource import resource_of

MAX_ATTRIBUTE = 1_024
"""Characters of an attribute's text; of a longer one the beginning is recorded."""


DEFAULT_ENDPOINT = "http://localhost:4318"
"""Where OTLP over HTTP is, unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` says another place."""


def configure_tracing(
    *exporters: Any,
    spool: Path | None = None,
    service: str = "agentflow",
    resource: Mapping[str, str] | None = None,
    openinference: bool = False,
) -> Any:
    """Record spans of runs, those of workflow code included, and send them.

    Call it once in a process, before ``Client.connect``, and shut the provider down at the end. A collector
    that is slow or down holds nothing up. Spans that wait in memory, as they do with ``exporters``, are lost
    when the process is killed; with ``spool`` they are on the disk by the time a step is over.

    Args:
        *exporters: Of OpenTelemetry's SDK; ``OTLPSpanExporter()`` reads ``OTEL_EXPORTER_OTLP_…``. They get
            batches of a queue of 2,048 spans, and what finds no room there is dropped.
        spool: A directory of this machine. Spans go through it, in OTLP over HTTP, to where
            ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) says, with the headers of
            ``OTEL_EXPORTER_OTLP_HEADERS``.
        service: ``service.name``, unless ``OTEL_SERVICE_NAME`` says another.
        resource: More attributes of the process.
        openinference: Whether spans have OpenInference's names as well, as Phoenix and Arize read them.

    Returns:
        The tracer provider.

    Raises:
        MissingExtraError: the ``otel`` extra isn't installed.
        ConfigurationError: another provider is set already; workflow code could not be recorded.
    """
    try:
        from opentelemetry.sdk.trace import SpanLimits
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from temporalio.contrib.opentelemetry import create_tracer_provider

        from agentflow.telemetry.openinference import OpenInference
    except ImportError as error:
        raise MissingExtraError("tracing", "otel") from error
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        raise ConfigurationError("a tracer provider is set already: call configure_tracing before any other")
    provider = create_tracer_provider(
        resource=resource_of(service, resource),
        span_limits=SpanLimits(max_attribute_length=MAX_CONTENT if captures_content() else MAX_ATTRIBUTE),
    )
    processors: list[Any] = [BatchSpanProcessor(exporter) for exporter in exporters]
    if spool is not None:
        processors.append(_spooling(spool))
    for processor in processors:
        provider.add_span_processor(OpenInference(processor) if openinference else processor)
    provider.get_tracer = _remembering(provider.get_tracer)
    trace.set_tracer_provider(provider)
    return provider


def _remembering(get_tracer: Callable[..., Any]) -> Callable[..., Any]:
    """Temporal's interceptor asks for its tracer at each call, and would have a new one made each time."""
    made: dict[tuple[str, str | None, str | None], Any] = {}

    def remembered(
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> Any:
        key = (instrumenting_module_name, instrumenting_library_version, schema_url)
        if attributes:
            return get_tracer(*key, attributes)
        if key not in made:
            made[key] = get_tracer(*key)
        return made[key]

    return remembered


def _spooling(directory: Path) -> Any:
    try:
        from agentflow.telemetry.spool import SpanSpool, http_sender
    except ImportError as error:
        raise MissingExtraError("spans on the disk", "otel") from error
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (
        os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/") + "/v1/traces"
    )
    said = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or os.environ.get("OTEL_EXPORTER_OTLP_HEADERS")
    headers = dict(parse_env_headers(said or "", liberal=True))
    try:
        return SpanSpool(directory, http_sender(endpoint, headers))
    except OSError as error:
        raise ConfigurationError(f"spans can't be kept in {directory}: {error}") from None
