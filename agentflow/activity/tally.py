"""Counts what an activity's attempts call outside: each call may be billed, whatever becomes of it.

An attempt knows what it called itself. Of those before it, it knows only what the ledger says; where that
says nothing, each may have called.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from temporalio import activity

from agentflow.contracts.tools import Billed


@dataclass
class Tally:
    """The count of one attempt."""

    before: int
    """How many attempts before this one may have called."""
    calls: int = 0
    probes: int = 0

    @classmethod
    def begun(cls) -> "Tally":
        """Begin to count for the attempt that runs here."""
        tally = cls(activity.info().attempt - 1)
        _TALLY.set(tally)
        return tally

    @property
    def billed(self) -> Billed:
        """As the run is told."""
        return Billed(before=self.before, calls=self.calls, probes=self.probes)


_TALLY: ContextVar[Tally | None] = ContextVar("agentflow_tally", default=None)


def call_begins() -> None:
    """The tool is about to be called."""
    if (tally := _TALLY.get()) is not None:
        tally.calls += 1


def call_did_nothing() -> None:
    """The tool that was called says that it did not reach the outside."""
    if (tally := _TALLY.get()) is not None:
        tally.calls = max(tally.calls - 1, 0)


def probe_begins() -> None:
    """The probe is about to be called."""
    if (tally := _TALLY.get()) is not None:
        tally.probes += 1


def none_called_before() -> None:
    """The ledger says that no attempt before this one called anything."""
    if (tally := _TALLY.get()) is not None:
        tally.before = 0
