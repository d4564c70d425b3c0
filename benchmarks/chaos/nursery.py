"""Where worker processes come from: one process has imported everything, and forks a worker for each order.

A worker that starts by itself costs two seconds of a core for its imports. Runs that die a hundred times
would measure those. ``python -m benchmarks.chaos.nursery`` is the process; ``Nursery`` is its owner's side.
"""

import asyncio
import gc
import json
import os
import select
import signal
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

from benchmarks.chaos.worker import Orders, serve

ROOT = Path(__file__).parents[2]

_LONGEST_LINE = 1_000_000


class Born:
    """A worker process, from its owner's side."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.pid: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        """Its exit code: that of a signal is negative."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.pid.done() and not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid.result(), number)


class Nursery:
    """Starts workers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._born: dict[str, Born] = {}

    async def start(self, name: str, log: Path, orders: Orders) -> Born:
        """Start a worker.

        Args:
            name: No other one has it.
            log: For what it writes to its output.
            orders: What it is to do.
        """
        born = self._born[name] = Born()
        line = json.dumps([name, str(log), orders.model_dump_json()])
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await born.pid
        return born

    async def hear(self) -> None:
        """Hear of births and deaths until cancelled."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            what, name, number = json.loads(line)
            born = self._born[name]
            (born.pid if what == "born" else born.ended).set_result(number)
        raise RuntimeError("the nursery of the worker processes has ended: see nursery.log")


@asynccontextmanager
async def nursery(directory: Path) -> AsyncGenerator[Nursery]:
    """A nursery, whose workers end with the block."""
    with (directory / "nursery.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.chaos.nursery"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LONGEST_LINE,
            # Out of reach of Ctrl-C, but in our session: when we die, the kernel ends its frozen ones.
            process_group=0,
        )
    assert process.stdin is not None
    # Closing it ends the nursery, which takes all its workers along, however this process ends.
    owned = Nursery(process)
    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(owned.hear())
        try:
            yield owned
        finally:
            hearing.cancel()
            process.stdin.close()
            await process.wait()


def _serve_births() -> None:
    """Fork a worker for each line of standard input, tell of its pid and of its end, until that closes."""
    heart, beat = os.pipe()
    waking, wake = os.pipe()
    for end in (waking, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    names: dict[int, str] = {}
    buffered = b""
    while True:
        ready, _, _ = select.select([0, waking], [], [])
        if waking in ready:
            os.read(waking, 4_096)
            _tell_of_the_dead(names)
        if 0 in ready:
            read = os.read(0, 65_536)
            if not read:
                break
            *lines, buffered = (buffered + read).split(b"\n")
            for line in lines:
                name, log, orders = json.loads(line)
                if not (pid := os.fork()):
                    for end in (beat, waking, wake):
                        os.close(end)
                    _be_a_worker(heart, log, orders)
                names[pid] = name
                _tell("born", name, pid)
    for pid in names:
        os.kill(pid, signal.SIGKILL)


def _tell_of_the_dead(names: dict[int, str]) -> None:
    while names:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        _tell("ended", names.pop(pid), os.waitstatus_to_exitcode(status))


def _tell(what: str, name: str, number: int) -> None:
    os.write(1, json.dumps([what, name, number]).encode() + b"\n")


def _be_a_worker(heart: int, log: str, orders: str) -> NoReturn:
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(written, standard)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_die_with_the_nursery, args=(heart,), daemon=True).start()
    try:
        asyncio.run(serve(Orders.model_validate_json(orders)))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _die_with_the_nursery(heart: int) -> None:
    os.read(heart, 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # What is here stays shared between all workers.
    gc.collect()
    gc.freeze()
    _serve_births()
