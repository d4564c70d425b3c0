"""Who logs never waits for who reads the log."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog
from temporalio.testing import WorkflowEnvironment

from agentflow.telemetry.log_writer import LogWriter
from agentflow.testing import ScriptedModel, answer
from tests.workflow.chatting_agents import Forgetful
from tests.workflow.harness import serving

pytestmark = pytest.mark.usefixtures("logs_as_they_were")


class Stalled:
    """Holds whoever writes to it until it is let go: but for the test itself and the event loop."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_held = threading.Event()
        self.may_go = threading.Event()

    def write(self, text: str) -> None:
        if threading.current_thread() is threading.main_thread():
            return
        self.is_held.set()
        assert self.may_go.wait(60)
        self.lines.append(text)

    def flush(self) -> None:
        pass


async def test_a_run_ends_while_nobody_reads_its_log(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    stalled = Stalled()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(stalled))  # type: ignore[arg-type]
    try:
        async with serving(temporal, ScriptedModel([answer("ok")]), tmp_path) as bank:
            outcome = await bank.run(Forgetful)
        assert outcome.status == "completed"
        assert stalled.is_held.is_set()
        assert not stalled.lines
    finally:
        stalled.may_go.set()


def test_lines_are_written_in_order_by_another_thread() -> None:
    writer, told = LogWriter(), list[tuple[int, str]]()
    for number in range(100):
        writer.put(lambda number=number: told.append((number, threading.current_thread().name)))
    assert writer.flush()
    assert told == [(number, "agentflow-log") for number in range(100)]


def test_what_is_put_while_too_many_wait_is_dropped_and_counted() -> None:
    writer, told, stalled = LogWriter(max_lines=10), list[int](), Stalled()
    writer.put(lambda: stalled.write("first"))
    assert stalled.is_held.wait(60)
    with structlog.testing.capture_logs() as logs:
        for number in range(25):
            writer.put(lambda number=number: told.append(number))
        stalled.may_go.set()
        assert writer.flush()
        # What is told of them comes behind the last line.
        assert writer.flush()
    assert told == list(range(10))
    assert [(line["event"], line["dropped"]) for line in logs] == [("log lines were dropped", 15)]


def test_a_line_that_can_not_be_written_is_no_ones_error() -> None:
    writer, told = LogWriter(), list[str]()
    writer.put(lambda: 1 / 0)
    writer.put(lambda: told.append("after"))
    assert writer.flush()
    assert told == ["after"]


def test_what_a_writing_logs_comes_at_once() -> None:
    writer, told = LogWriter(), list[str]()
    writer.put(lambda: (writer.put(lambda: told.append("inner")), told.append("outer")))
    assert writer.flush()
    assert told == ["inner", "outer"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_process_writes_its_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    script = (
        "import os, sys\n"
        "from agentflow.telemetry.log_writer import LogWriter\n"
        "writer = LogWriter()\n"
        "def put(text): writer.put(lambda: open(sys.argv[1], 'a').write(text + '\\n'))\n"
        "put('parent'); assert writer.flush()\n"
        "if (child := os.fork()) == 0:\n"
        "    put('child'); os._exit(0 if writer.flush() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    assert path.read_text().split() == ["parent", "child"]


def test_a_process_that_ends_has_written_its_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    script = (
        "import logging, pathlib, sys\n"
        "from agentflow.telemetry.logs import configure_logs\n"
        "configure_logs(file=pathlib.Path(sys.argv[1]))\n"
        "for number in range(1000): logging.getLogger('agentflow').warning('line')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 1_000
    assert logging.getLevelName(logging.WARNING).lower() == lines[0]["level"]
