"""The worker processes: started with orders, killed and frozen at random, replaced when they have died."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.chaos.nursery import Born, Nursery
from benchmarks.chaos.scenarios import CastName
from benchmarks.chaos.schedule import Schedule
from benchmarks.chaos.worker import Death, Orders

SETTLING = 3.0
"""Seconds before a worker can be killed or frozen from outside: until then it only imports."""


@dataclass(eq=False)
class _Working:
    """A worker that lives."""

    process: Born
    name: str
    death: Death | None
    since: float
    shot: bool = False
    frozen: bool = False

    def signal(self, number: signal.Signals) -> None:
        self.process.signal(number)


class WorkerPool:
    """So many workers, from ``async with`` to the end of its block."""

    def __init__(
        self,
        cast: CastName,
        size: int,
        schedule: Schedule,
        orders: Callable[[CastName, int, Death | None], Orders],
        *,
        nursery: Nursery,
        directory: Path,
        tell: Callable[[str], None],
    ) -> None:
        """Describe the workers; none is started yet.

        Args:
            cast: Which they are.
            size: How many.
            schedule: Deals deaths at fault points out to them.
            orders: What a worker is told, by the cast, its place in it from 0, and its death.
            nursery: Starts them.
            directory: For their logs.
            tell: Called with lines about the progress.
        """
        self.cast: CastName = cast
        self._size = size
        self._schedule = schedule
        self._orders = orders
        self._directory = directory
        self._tell = tell
        self._may_work = asyncio.Event()
        self._may_work.set()
        self._working: set[_Working] = set()
        self._slots: list[asyncio.Task[None]] = []
        self._nursery = nursery
        self._started = 0
        self.shot = 0
        """Killed from outside."""
        self.doomed = 0
        """Died in a write that they were to die in."""
        self.freezes = 0
        self.crashed: Counter[int] = Counter()
        """Ended otherwise than by SIGKILL, by exit code: started while the server was down, for example."""

    @property
    def kills(self) -> int:
        """Workers that died of SIGKILL."""
        return self.shot + self.doomed + self._schedule.died.total()

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

    @asynccontextmanager
    async def stopped(self) -> AsyncGenerator[None]:
        """Kill all of them, and start none until the block has ended."""
        self._may_work.clear()
        for one in self._working:
            one.shot = True
            one.signal(signal.SIGKILL)
        while self._working:  # noqa: ASYNC110 - processes that end are no event
            await asyncio.sleep(0.05)
        yield
        self._may_work.set()

    async def __aenter__(self) -> Self:
        self._slots = [asyncio.create_task(self._keep_one(place)) for place in range(self._size)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)

    def _one_at_work(self, chance: random.Random) -> _Working | None:
        now = asyncio.get_running_loop().time()
        ripe = [one for one in self._working if now - one.since > SETTLING and not (one.shot or one.frozen)]
        return chance.choice(sorted(ripe, key=lambda one: one.name)) if ripe else None

    async def _keep_one(self, place: int) -> None:
        while True:
            await self._may_work.wait()
            one = await self._start(place, self._schedule.deal())
            self._working.add(one)
            if not self._may_work.is_set():
                one.shot = True
                one.signal(signal.SIGKILL)
            try:
                code = await asyncio.shield(one.process.ended)
            finally:
                self._working.discard(one)
                one.signal(signal.SIGKILL)
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
        elif code == -signal.SIGKILL:
            self.doomed += 1
        else:
            self.crashed[code] += 1
            last_line = self._log(one.name).read_text(errors="replace").strip().rpartition("\n")[2]
            self._tell(f"worker {one.name} ended with exit code {code}: {last_line}")

    async def _start(self, place: int, death: Death | None) -> _Working:
        self._started += 1
        name = f"{self.cast}-{self._started}"
        orders = self._orders(self.cast, place, death)
        process = await self._nursery.start(name, self._log(name), orders)
        return _Working(process, name, death, asyncio.get_running_loop().time())

    def _log(self, name: str) -> Path:
        return self._directory / f"worker-{name}.log"
