"""The systems outside: they keep count of what was done to them, and stand still where they are asked to."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from agentflow import ToolContext


class Gate:
    """Holds whoever comes until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_through(self) -> None:
        """Wait here."""
        self.reached.set()
        await self.opened.wait()


@dataclass
class Outside:
    """What all runs write to."""

    effects: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter[str]))
    """How often each thing was done, by run."""
    gates: dict[tuple[str, str], Gate] = field(default_factory=dict[tuple[str, str], Gate])
    """By run and place."""
    answers: dict[str, str] = field(default_factory=dict[str, str])
    """By idempotency key."""
    lost: set[str] = field(default_factory=set[str])
    """Runs whose next answer from a system without idempotency keys gets lost."""

    def gate(self, run: str, place: str) -> Gate:
        """Put a gate where a run will come by."""
        return self.gates.setdefault((run, place), Gate())

    async def pass_through(self, run: str, place: str) -> None:
        """Wait at the gate, if there is one."""
        if gate := self.gates.get((run, place)):
            await gate.pass_through()

    async def write(self, context: ToolContext, what: str) -> str:
        """Have an effect, unless the idempotency key is known."""
        key, run = context.idempotency_key, context.workflow_id
        if key in self.answers:
            return self.answers[key]
        self.effects[run][what] += 1
        self.answers[key] = f"done: {what}"
        await self.pass_through(run, what)
        return self.answers[key]

    async def ship(self, context: ToolContext, what: str) -> str:
        """Have an effect at each call, whatever its key."""
        run = context.workflow_id
        self.effects[run][what] += 1
        if run in self.lost:
            self.lost.remove(run)
            raise ConnectionError("the answer was lost")
        return f"done: {what}"
