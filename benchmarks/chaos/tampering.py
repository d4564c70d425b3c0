"""What somebody does to ledgers while writes are in doubt: lie in them, empty them, restore a backup."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.tools import ToolError, ToolResult
from agentflow.ports.ledger import EffectLedger
from benchmarks.chaos.doom import mark_of
from benchmarks.chaos.rows import Backup, Rows
from benchmarks.chaos.runs import PlannedRun
from benchmarks.chaos.scenarios import CastName

Stopped = Callable[[], AbstractAsyncContextManager[None]]
"""No worker of a cast is at work while this block runs."""

OPERATOR = "olga"

_LOOKING = 0.2
_BACKUPS = 2.0
"""Seconds between two."""


@dataclass
class Tampering:
    """Waits for the deaths of workers, and does it before the next attempt comes."""

    directory: Path
    rows: Mapping[CastName, Rows]
    stopped: Mapping[CastName, Stopped]
    ledgers: Mapping[CastName, Callable[[], EffectLedger]]
    """Open a cast's ledger, as an operator does."""
    new_ledger: Backup
    """Of a ledger that was just made."""
    tell: Callable[[str], None]
    done: dict[str, str] = field(default_factory=dict[str, str])
    """What was done to a run's records, by run."""
    _backups: list[Backup] = field(default_factory=list[Backup])

    async def work(self, runs: Sequence[PlannedRun]) -> None:
        """See to each run that it is meant for."""
        waiting = [run for run in runs if run.scenario in ("lying_writer", "emptied", "restored")]
        if not waiting:
            return
        keeping = None
        if any(run.scenario == "restored" for run in waiting):
            self._backups.append(await asyncio.to_thread(self.rows["restored"].backup))
            keeping = asyncio.create_task(self._keep_backups())
        try:
            while waiting:
                for run in [run for run in waiting if self._is_dead(run)]:
                    waiting.remove(run)
                    await self._tamper(run)
                await asyncio.sleep(_LOOKING)
        finally:
            if keeping:
                keeping.cancel()

    def _is_dead(self, run: PlannedRun) -> bool:
        return (self.directory / mark_of(run.workflow_id, 0)).exists()

    async def _tamper(self, run: PlannedRun) -> None:
        match run.scenario:
            case "lying_writer":
                self.done[run.workflow_id] = run.lie
                number = await asyncio.to_thread(self._lie, run)
                what = f"{run.lie} ({number} rows)"
            case "emptied" if run.number % 2:
                self.done[run.workflow_id] = what = "rows deleted"
                await asyncio.to_thread(self.rows["emptied"].empty)
            case "emptied":
                self.done[run.workflow_id] = what = "a new ledger"
                async with self.stopped["emptied"](), self._adopted("emptied", "all of it"):
                    await asyncio.to_thread(self.rows["emptied"].restore, self.new_ledger)
            case _:
                self.done[run.workflow_id] = what = "a backup"
                async with self.stopped["restored"](), self._adopted("restored", "the last writes"):
                    await asyncio.to_thread(self._restore, run)
        self.tell(f"{run.workflow_id}: {what}")

    @asynccontextmanager
    async def _adopted(self, cast: CastName, lost: str) -> AsyncGenerator[None]:
        """Replace a ledger in the block; an operator adopts what is there then, and says what is missing.

        A backup may be older than what was adopted before: runs that began since then need that one.
        """
        before = await self._identity(cast)
        yield
        ledger = self.ledgers[cast]()
        try:
            # The new one, too, is restored from a backup: by the second time it is a copy of itself.
            now = await ledger.adopt(Adoption(by=OPERATOR, lost=lost))
            for one in (before.id, *(earlier.id for earlier in before.stands_for)):
                if one != now.id and not now.losses_of(one):
                    now = await ledger.adopt(Adoption(by=OPERATOR, lost=lost, instead_of=one))
        finally:
            await ledger.close()

    async def _identity(self, cast: CastName) -> LedgerIdentity:
        ledger = self.ledgers[cast]()
        try:
            return await ledger.identity()
        finally:
            await ledger.close()

    def _lie(self, run: PlannedRun) -> int:
        rows, workflow_id = self.rows["doomed"], run.workflow_id
        match run.lie:
            case "made_up_result":
                return rows.change(workflow_id, _ended("done", ToolResult(output=_made_up(run))))
            case "made_up_failure":
                refusal = ToolResult(error=ToolError(kind="failed", message="payments refused"))
                return rows.change(workflow_id, _ended("failed", refusal))
            case "no_attempts":
                return rows.change(workflow_id, {"attempts": 0, "lease_us": 0})
            case "deleted" | "deleted_end":
                return rows.delete(workflow_id)

    async def _keep_backups(self) -> None:
        while True:
            await asyncio.sleep(_BACKUPS)
            self._backups.append(await asyncio.to_thread(self.rows["restored"].backup))

    def _restore(self, run: PlannedRun) -> None:
        """Restore the last backup that was made before the run's write."""
        rows = self.rows["restored"]
        before = [backup for backup in self._backups if not rows.knows(backup, run.workflow_id)]
        # The first is of a ledger in which nothing was.
        rows.restore(before[-1])


def _ended(state: str, result: ToolResult) -> dict[str, Any]:
    return {"state": state, "result": result.model_dump_json(), "lease_us": 0}


def _made_up(run: PlannedRun) -> dict[str, str]:
    return {
        "refund_id": "re_made_up",
        "order_id": run.task.order_id,
        "amount_usd": str(run.task.amount_usd),
        "status": "succeeded",
    }
