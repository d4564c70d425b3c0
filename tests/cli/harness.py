"""The command line, run in this process or in one of its own, and what it came to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from uuid import uuid4

from typer.testing import CliRunner

from agentflow.cli.app import app
from tests.cli import worker
from tests.forked import forked

ROOT = Path(__file__).parents[2]
TASK_QUEUE = "cashier"
MODULE = "tests.cli.agents"


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


@dataclass(frozen=True)
class CommandLine:
    """``agentflow`` against one server."""

    address: str
    ledger: Path
    """The worker's, and the commands' unless they say otherwise."""

    def __call__(self, *arguments: str, input: str | None = None, **env: str) -> Answer:
        """Run it in a thread of this process, since the tests' own event loop has the main thread."""
        with ThreadPoolExecutor(1) as thread:
            ran = thread.submit(CliRunner().invoke, app, arguments, input=input, env=self.environment(env))
        result = ran.result()
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    def process(self, *arguments: str, cwd: Path = ROOT, **env: str) -> Answer:
        """Run it as a process."""
        with self.started(*arguments, cwd=cwd, **env) as process:
            stdout, stderr = process.communicate(timeout=60)
        return Answer(process.returncode, stdout, stderr)

    @contextmanager
    def started(self, *arguments: str, cwd: Path = ROOT, **env: str) -> Iterator[subprocess.Popen[str]]:
        """Start it as a process. One that does not end says where it stands."""
        with subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "agentflow.cli", *arguments],
            env=self.environment(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)
                _, stderr = process.communicate()
                raise AssertionError(stderr) from None
            finally:
                process.kill()

    @contextmanager
    def worker(self, task_queue: str, **env: str) -> Iterator[ForkServerProcess]:
        """A worker for ``Cashier`` in a process of its own."""
        process = forked(worker.run, task_queue, **self.environment(env))
        try:
            yield process
        finally:
            process.terminate()
            process.join()

    def environment(self, more: Mapping[str, str] = {}) -> dict[str, str]:
        """This server's, without any setting of the developer's own."""
        settings = {
            "TEMPORAL_ADDRESS": self.address,
            "TEMPORAL_CONFIG_FILE": str(ROOT / "no-such-file.toml"),
            "AGENTFLOW_LEDGER": str(self.ledger),
            "PYTHONPATH": str(ROOT),
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        return {**inherited, **settings, **more}

    def start(self, task: str, *more: str, task_queue: str = TASK_QUEUE) -> str:
        """Start a run of ``Cashier`` and answer its workflow id."""
        workflow_id = f"case-{uuid4()}"
        common = ["--task-queue", task_queue, "--requested-by", "joe", "--id", workflow_id]
        started = self("run", "Cashier", "--input", json.dumps(task), *common, *more)
        assert started.exit_code == 0, started.stderr
        return workflow_id

    def waiting(self, task: str, *more: str, task_queue: str = TASK_QUEUE) -> str:
        """Start a run, and wait until it waits for people."""
        workflow_id = self.start(task, *more, task_queue=task_queue)
        states = ("waiting_for_approval", "escalated")
        eventually(lambda: self("status", workflow_id, "--json").document["status"]["state"] in states)
        return workflow_id

    def outcome(self, workflow_id: str) -> Any:
        """A run's outcome, as soon as it is there."""
        return eventually(lambda: self("status", workflow_id, "--json").document["outcome"])

    def approval(self, workflow_id: str) -> Any:
        """The only pending approval of a run."""
        (run,) = self("approvals", workflow_id, "--json").document["runs"]
        (approval,) = run["approvals"]
        return approval


def eventually(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What a look finds, as soon as it finds something: runs and visibility take a moment."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)
    return found
