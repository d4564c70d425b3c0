"""Spans of model and tool calls. Each in a process of its own: a tracer provider can be set once."""

import subprocess
import sys

import pytest

CODE = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from agentflow.telemetry.spans import current_span, is_recording

kept = InMemorySpanExporter()
provider = {provider}
if isinstance(provider, TracerProvider):
    provider.add_span_processor(SimpleSpanProcessor(kept))
if provider:
    trace.set_tracer_provider(provider)
with current_span("chat small"):
    trace.get_current_span().set_attribute("answered", True)
print(is_recording(), [(span.name, dict(span.attributes)) for span in kept.get_finished_spans()])
"""


def _recorded(provider: str) -> str:
    code = CODE.format(provider=provider)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_a_span_is_current_and_recorded_where_a_provider_is_set_after_the_import() -> None:
    assert _recorded("TracerProvider()") == "True [('chat small', {'answered': True})]\n"


@pytest.mark.parametrize("provider", ["None", "trace.NoOpTracerProvider()"], ids=["none", "no-op"])
def test_nothing_is_recorded_for_nobody(provider: str) -> None:
    assert _recorded(provider) == "False []\n"
