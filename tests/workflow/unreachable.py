"""A ledger that some activities can't reach, for the tests."""

from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity

from agentflow.activity import hold
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.ledger import LedgerIdentity
from agentflow.errors import LedgerError
from agentflow.workflow import dispatch, effects
from tests.workflow.harness import eventually


def make_outages_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that can't be reached is not waited for within an attempt, and for seconds in all."""
    monkeypatch.setattr(hold, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(dispatch, "OUTAGE", timedelta(seconds=3))
    monkeypatch.setattr(effects, "_BRIEFLY", timedelta(seconds=3))


class Unreachable(SQLiteLedger):
    """Each attempt asks which ledger it is first, and gets no further."""

    def __init__(self, directory: Path, *activities: str, attempts: int | None = None) -> None:
        """A ledger for a test.

        Args:
            directory: Of its file.
            *activities: The types of those that can't reach it.
            attempts: How many of each one's attempts can't; all of them by default.
        """
        super().__init__(directory / "effects.sqlite")
        self.away_for = {kind: attempts for kind in activities}
        self.missed: list[str] = []
        """The types of the attempts that did not reach it."""

    async def identity(self) -> LedgerIdentity:
        if activity.in_activity():
            info = activity.info()
            if info.activity_type in self.away_for:
                attempts = self.away_for[info.activity_type]
                if attempts is None or info.attempt <= attempts:
                    self.missed.append(info.activity_type)
                    raise LedgerError("the ledger can't be reached")
        return await super().identity()

    async def missed_by(self, kind: str) -> None:
        """Come back once an activity of a type did not reach it."""

        async def look() -> bool | None:
            return kind in self.missed or None

        await eventually(look, 60)
