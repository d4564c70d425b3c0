"""A server and a worker in processes of their own, and the command line run against them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from agentflow.cli.app import app

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TASK_QUEUE = "cashier"


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        """The message of a command that failed under ``--json``."""
        return self.document["error"]["message"]


Command = Callable[..., Answer]


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    # No configuration file of the developer's own may reach into the tests.
    nothing = {"TEMPORAL_CONFIG_FILE": str(HERE / "no-such-file.toml")}
    return {**inherited, **nothing, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", **more}


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where Temporal listens; a worker for ``Cashier`` is there too."""
    with subprocess.Popen(
        [sys.executable, HERE / "local_service.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as service:
        assert service.stdin and service.stdout
        line = next(line for line in service.stdout if line.startswith("{"))
        yield json.loads(line)["address"]
        service.stdin.close()


@pytest.fixture
def agentflow(address: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process, in a thread, as the tests' own event loop has the main one."""
    monkeypatch.setattr("sys.path", [str(HERE), *sys.path])

    def invoke(*arguments: str, input: str | None = None, **env: str) -> Answer:
        settings = {**environment(TEMPORAL_ADDRESS=address), **env}
        with ThreadPoolExecutor(1) as thread:
            result = thread.submit(CliRunner().invoke, app, arguments, input=input, env=settings).result()
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def process(address: str) -> Command:
    """Runs the command as a process of its own."""

    def run(*arguments: str, cwd: Path | None = None, **env: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "agentflow.cli", *arguments],
            env=environment(**{"TEMPORAL_ADDRESS": address, **env}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start(agentflow: Command) -> Callable[..., str]:
    """Starts a run of ``Cashier`` and answers its workflow id."""

    def start(task: str, *more: str, task_queue: str = TASK_QUEUE) -> str:
        workflow_id = f"case-{uuid4()}"
        common = ["--task-queue", task_queue, "--requested-by", "joe", "--id", workflow_id]
        started = agentflow("run", "Cashier", "--input", json.dumps(task), *common, *more)
        assert started.exit_code == 0, started.stderr
        return workflow_id

    return start


@pytest.fixture
def waiting(agentflow: Command, start: Callable[..., str]) -> Callable[..., str]:
    """Starts a run, and waits until it is in a state."""

    def start_and_wait(task: str, state: str, *more: str) -> str:
        workflow_id = start(task, *more)
        eventually(lambda: agentflow("status", workflow_id, "--json").document["status"]["state"] == state)
        return workflow_id

    return start_and_wait


def eventually(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """The first truth that something comes to; runs and visibility take a moment."""
    end = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)
    return result
