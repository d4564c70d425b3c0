"""The recipes of docs/observability.md: with their settings, spans and metrics come where they say."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace

from agentflow.telemetry.metering import configure_metrics
from agentflow.telemetry.metrics import cache_hit
from agentflow.telemetry.tracing import configure_tracing
from benchmarks.otlp import OtlpServer
from tests.forked import printed

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "observability.md").read_text()


async def sent(spool: Path) -> None:
    """A span and a metric, to where the environment says."""
    provider = configure_tracing(spool=spool, openinference=True)
    async with configure_metrics():
        with trace.get_tracer("recipe").start_as_current_span("chat x"):
            cache_hit("answer")
    assert provider.force_flush()
    provider.shutdown()


def send(spool: Path) -> None:
    asyncio.run(sent(spool))


EXPECTED: dict[str, tuple[set[str], dict[str, str]]] = {
    "Datadog": ({"/v1/traces", "/v1/metrics"}, {}),
    "Honeycomb": ({"/v1/traces", "/v1/metrics"}, {"x-honeycomb-team": "KEY"}),
    "Grafana Cloud": ({"/otlp/v1/traces", "/otlp/v1/metrics"}, {"authorization": "Basic TOKEN"}),
    "Grafana": ({"/v1/traces", "/api/v1/otlp/v1/metrics"}, {}),
    "Sentry": ({"/api/456/integration/otlp/v1/traces"}, {"x-sentry-auth": "sentry sentry_key=KEY"}),
    "LangSmith": ({"/otel/v1/traces"}, {"x-api-key": "KEY", "langsmith-project": "agentflow"}),
    "Weave": ({"/otel/v1/traces"}, {"wandb-api-key": "KEY"}),
    "Phoenix": ({"/v1/traces"}, {}),
}


def recipes() -> dict[str, dict[str, str]]:
    """The settings of each recipe, in the order of the document."""
    part = DOCUMENT[DOCUMENT.index("## Recipes") :]
    blocks = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    settings = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
    return dict(zip(EXPECTED, settings, strict=True))


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    got: list[tuple[str, dict[str, str]]] = []
    with OtlpServer(lambda path, headers, body: got.append((path, dict(headers)))) as server:
        yield server.endpoint, got


@pytest.mark.parametrize("vendor", EXPECTED)
def test_spans_and_metrics_come_where_a_recipe_says(
    vendor: str, receiver: tuple[str, list[tuple[str, dict[str, str]]]], tmp_path: Path
) -> None:
    here, got = receiver
    settings = recipes()[vendor]
    local = {name: re.sub(r"^https?://[^/]+", here, value) for name, value in settings.items()}
    if not any("METRICS_ENDPOINT" in name or name == "OTEL_EXPORTER_OTLP_ENDPOINT" for name in settings):
        # Traces only: metrics would go to the default place, where nobody is.
        local["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] = f"{here}/nobody"
    # In a process of its own, since providers can be set once.
    printed(send, tmp_path, **local)
    paths, headers = EXPECTED[vendor]
    assert {path for path, _ in got} - {"/nobody"} == paths
    for path, sent in got:
        if path != "/nobody":
            assert headers.items() <= sent.items(), json.dumps(sent)
