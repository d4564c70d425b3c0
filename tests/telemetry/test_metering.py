"""Setting metrics up, in processes of their own: a meter provider can be set once."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MEASURES = """
import asyncio
from agentflow.telemetry.metering import configure_metrics
from agentflow.telemetry.metrics import cache_hit

async def main():
    async with configure_metrics():
        cache_hit("answer")

asyncio.run(main())
print("ended")
"""


def ran(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a collector that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_collector_that_never_answers_does_not_hold_up_the_end(silent: str) -> None:
    assert ran(MEASURES, OTEL_EXPORTER_OTLP_ENDPOINT=silent).stdout == "ended\n"


def test_metrics_are_configured_once() -> None:
    twice = "from agentflow.telemetry.metering import configure_metrics as c; c(); c()"
    assert "call configure_metrics before any other" in ran(twice).stderr


def test_a_port_that_is_taken_is_told(silent: str) -> None:
    port = silent.rpartition(":")[2]
    code = "from agentflow.telemetry.metering import configure_metrics as c; "
    done = ran(f"{code} c(prometheus={port}, prometheus_host='127.0.0.1')")
    assert f"metrics can't be served on 127.0.0.1:{port}" in done.stderr
