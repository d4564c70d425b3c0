"""The demo, as ``make demo`` runs it without a terminal."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")
COMMAND = [sys.executable, "-m", "agentflow.cli", "demo"]
CASES = ("T-003", "T-009", "T-012")
"""A refund, an order to the model hidden in a ticket, two refunds in one: the model takes a minute for them."""


def environment() -> dict[str, str]:
    """Without anybody's keys: the bundled model is what is tested."""
    return {name: value for name, value in os.environ.items() if name not in KEYS}


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)  # the model and the other tests share the cores
def test_whatever_the_small_model_says_no_wrong_refund_leaves_the_engine() -> None:
    done = subprocess.run(
        [*COMMAND, "--json", *(word for case in CASES for word in ("--only", case))],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    score = json.loads(done.stdout.splitlines()[-1])
    assert set(score) == {
        "tickets", "completed", "escalated", "denied", "label_matches", "wrong_refunds", "duplicate_refunds",
        "cost_usd", "cpsc_usd", "seconds",
    }  # fmt: skip
    assert score["tickets"] == len(CASES)
    assert score["completed"] + score["escalated"] + score["denied"] == len(CASES)
    assert (score["wrong_refunds"], score["duplicate_refunds"]) == (0, 0)
    assert score["cost_usd"] > 0


@pytest.mark.slow
async def test_ctrl_c_stops_everything_that_the_demo_started() -> None:
    demo = await asyncio.create_subprocess_exec(
        *COMMAND, cwd=ROOT, env=environment(), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert demo.stdout
    web_url = ""
    async with asyncio.timeout(120):
        while not web_url:
            line = (await demo.stdout.readline()).decode()
            assert line, "the demo ended before it was up"
            web_url = line.partition("Temporal Web UI: ")[2].strip()
        demo.send_signal(signal.SIGINT)
        await demo.stdout.read()
        assert await demo.wait() == 130
    port = int(web_url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_a_case_that_is_not_there_is_refused_with_those_that_are() -> None:
    command = [*COMMAND, "--only", "T-999"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "T-999" in done.stderr
    assert "T-030" in done.stderr


def test_a_model_that_is_neither_a_name_nor_a_file_is_refused_in_one_line() -> None:
    done = subprocess.run(
        [*COMMAND, "--model", "nothing"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "provider:model" in done.stderr
    assert "Traceback" not in done.stderr
