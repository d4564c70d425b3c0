"""The worker processes: started with orders, killed and frozen at random, replaced when they have died."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.chaos.schedule import Schedule
from benchmarks.chaos.worker import Death, Orders

ROOT = Path(__file__).parents[2]

SETTLING = 3.0
"""Seconds before a worker can be killed or frozen from outside: until then it only imports."""

_STARTING_AT_ONCE = 2


@dataclass(eq=False)
class _Working:
    """A worker that lives."""

    process: asyncio.subprocess.Process
    number: int
    death: Death | None
    since: float
    shot: bool = False
    frozen: bool = False

    def signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class WorkerPool:
    """So many workers, from ``async with`` to the end of its block."""

    def __init__(
        self,
        size: int,
        schedule: Schedule,
        orders: Callable[[Death | None], Orders],
        directory: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._size = size
        self._schedule = schedule
        self._orders = orders
        self._directory = directory
        self._tell = tell
        self._working: set[_Working] = set()
        self._slots: list[asyncio.Task[None]] = []
        self._starting = asyncio.Semaphore(_STARTING_AT_ONCE)
        self._started = 0
        self.shot = 0
        """Killed from outside."""
        self.freezes = 0
        self.crashed: Counter[int] = Counter()
        """Ended otherwise than by SIGKILL, by exit code: started while the server was down, for example."""

    @property
    def kills(self) -> int:
        """Workers that died of SIGKILL."""
        return self.shot + self._schedule.died.total()

    def shoot_one(self, chance: random.Random) -> None:
        """Kill a worker, if one is at work."""
        if one := self._one_at_work(chance):
            one.shot = True
            one.signal(signal.SIGKILL)

    async def freeze_one(self, chance: random.Random, longest: float) -> None:
        """Stop a worker, if one is at work, and let it go on some seconds later."""
        if one := self._one_at_work(chance):
            self.freezes += 1
            one.frozen = True
            one.signal(signal.SIGSTOP)
            await asyncio.sleep(chance.uniform(1, longest))
            one.signal(signal.SIGCONT)
            one.frozen = False

    async def __aenter__(self) -> Self:
        self._slots = [asyncio.create_task(self._keep_one()) for _ in range(self._size)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)

    def _one_at_work(self, chance: random.Random) -> _Working | None:
        now = asyncio.get_running_loop().time()
        ripe = [one for one in self._working if now - one.since > SETTLING and not (one.shot or one.frozen)]
        return chance.choice(sorted(ripe, key=lambda one: one.number)) if ripe else None

    async def _keep_one(self) -> None:
        while True:
            async with self._starting:
                one = await self._start(self._schedule.deal())
            self._working.add(one)
            try:
                code = await one.process.wait()
            finally:
                self._working.discard(one)
                one.signal(signal.SIGKILL)
                await one.process.wait()
            self._note(one, code)
            if code != -signal.SIGKILL:
                await asyncio.sleep(1)

    def _note(self, one: _Working, code: int) -> None:
        if code == -signal.SIGKILL and not one.shot and one.death:
            self._schedule.happened(one.death)
            return
        if one.death:
            self._schedule.put_back(one.death)
        if one.shot:
            self.shot += 1
        else:
            self.crashed[code] += 1
            last_line = self._log(one.number).read_text(errors="replace").strip().rpartition("\n")[2]
            self._tell(f"worker {one.number} ended with exit code {code}: {last_line}")

    async def _start(self, death: Death | None) -> _Working:
        self._started += 1
        with self._log(self._started).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.chaos.worker"),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Out of reach of Ctrl-C, but in our session: when we die, the kernel ends its frozen ones.
                process_group=0,
            )
        assert process.stdin is not None
        # Not closed: it ends the worker when this process ends, however it does.
        process.stdin.write(self._orders(death).model_dump_json().encode() + b"\n")
        return _Working(process, self._started, death, asyncio.get_running_loop().time())

    def _log(self, number: int) -> Path:
        return self._directory / f"worker-{number}.log"
