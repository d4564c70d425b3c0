"""Sets metrics up for a worker. For applications; the library never calls it."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from opentelemetry import metrics as api
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from agentflow.errors import ConfigurationError, MissingExtraError
from agentflow.telemetry.metrics import is_measuring
from agentflow.telemetry.resource import resource_of

BUFFERED = 100_000
"""Of Temporal's own metrics, between two looks at them."""


class Metering:
    """Metrics of agentflow and of Temporal's SDK on their way to one place, while its block runs."""

    def __init__(self, provider: Any, runtime: Runtime, temporal: Any) -> None:
        self.provider: Any = provider
        """The meter provider."""
        self.runtime: Runtime = runtime
        """For ``Client.connect(runtime=...)``: without it Temporal's own metrics are not there."""
        self._temporal = temporal

    async def __aenter__(self) -> Self:
        """Take Temporal's metrics over, once a second."""
        await self._temporal.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is left, for some seconds at most."""
        await self._temporal.__aexit__(kind, error, trace)
        # A collector that is down must not hold up a worker that is to end.
        last = threading.Thread(target=self.provider.shutdown, args=(5_000,), daemon=True)
        last.start()
        last.join(timeout=6)


def configure_metrics(
    *readers: Any,
    prometheus: int | None = None,
    prometheus_host: str = "0.0.0.0",  # noqa: S104 - where a Prometheus on another machine fetches
    service: str = "agentflow",
    resource: Mapping[str, str] | None = None,
) -> Metering:
    """Record metrics of runs and of Temporal's SDK.

    Call it once in a process, before ``Client.connect``::

        async with configure_metrics(prometheus=9464) as metrics:
            client = await Client.connect(..., runtime=metrics.runtime, plugins=[plugin])

    Args:
        *readers: Of OpenTelemetry's SDK. Without any, and without ``prometheus``, metrics go once a minute
            (``OTEL_METRIC_EXPORT_INTERVAL``) in OTLP over HTTP to where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says.
        prometheus: A port on which Prometheus can fetch them.
        prometheus_host: The address of that port.
        service: ``service.name``, unless ``OTEL_SERVICE_NAME`` says another.
        resource: More attributes of the process.

    Raises:
        MissingExtraError: the ``otel`` extra isn't installed, or for ``prometheus`` that one.
        ConfigurationError: another provider is set already, or the port is taken.
    """
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from temporalio.contrib.opentelemetry import MetricsExporter, ReplaySafeMeterProvider
    except ImportError as error:
        raise MissingExtraError("metrics", "otel") from error
    if is_measuring():
        raise ConfigurationError("a meter provider is set already: call configure_metrics before any other")
    chosen = list(readers)
    if prometheus is not None:
        chosen.append(_prometheus(prometheus, prometheus_host))
    provider = MeterProvider(
        metric_readers=chosen or [_otlp()], resource=resource_of(service, resource), shutdown_on_exit=False
    )
    api.set_meter_provider(ReplaySafeMeterProvider(provider))
    buffer = MetricBuffer(BUFFERED)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    return Metering(provider, runtime, MetricsExporter(buffer, provider))


def _otlp() -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    except ImportError as error:
        raise MissingExtraError("metrics over OTLP", "otel") from error
    return PeriodicExportingMetricReader(OTLPMetricExporter())


def _prometheus(port: int, host: str) -> Any:
    try:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import start_http_server
    except ImportError as error:
        raise MissingExtraError("metrics for Prometheus", "prometheus") from error
    reader = PrometheusMetricReader()
    try:
        start_http_server(port, addr=host)
    except OSError as error:
        raise ConfigurationError(f"metrics can't be served on {host}:{port}: {error}") from None
    return reader
