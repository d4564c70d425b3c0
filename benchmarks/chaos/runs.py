"""The runs: what each is to do, what goes wrong for it, and how far it is."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from agentflow import AgentOutcome
from benchmarks.chaos.agent import RefundReport, RefundTask
from benchmarks.chaos.doom import Moment
from benchmarks.chaos.scenarios import SCENARIOS, ScenarioName
from benchmarks.chaos.tools import ASKED, BLOCKING, KEYED, PROBED

ASKED_SHARE, KEYED_SHARE = 0.2, 0.1
"""How many of the plain runs use the tool that can't ask payments, and the one that gives them a key."""

_LATEST_CANCEL = 12.0
"""Seconds after its start at which a run may be cancelled."""

Fate = Literal["waiting", "open", "ended", "lost"]
"""``waiting``: not started. ``open``: not ended. ``ended``: with outcomes. ``lost``: without one."""

Lie = Literal["made_up_result", "made_up_failure", "no_attempts", "deleted", "deleted_end"]
"""What somebody writes into the ledger: that a write is done that never began; that one failed that was made;
that no attempt of it has begun; nothing any more, while it is in doubt or after its end."""

_DEATHS_OF_LIES: dict[Lie, Moment] = {
    "made_up_result": "after_intend",
    "made_up_failure": "before_end",
    "no_attempts": "before_end",
    "deleted": "before_end",
    "deleted_end": "after_end",
}
"""When a worker dies, so that the lie is there before the next attempt looks."""


@dataclass
class Execution:
    """One execution of a run, or a chain of them that is one piece of work."""

    chain: str
    """``core.idempotency.chain_of`` it."""
    outcome: AgentOutcome[RefundReport] | None = None
    is_continued: bool = False
    """Whether it continued as new."""
    fate: Literal["open", "ended", "stopped"] = "open"
    """``ended``: with an outcome. ``stopped``: somebody terminated it; it says nothing."""

    def end(self, outcome: AgentOutcome[RefundReport]) -> None:
        """Note what it ended with."""
        self.outcome, self.fate = outcome, "ended"


@dataclass
class PlannedRun:
    """One run, from its plan to its end."""

    workflow_id: str
    task: RefundTask
    charge_id: str
    scenario: ScenarioName = "plain"
    number: int = 0
    """Of those of its scenario, from 0."""
    cancelled_after: float | None = None
    """Seconds after its start at which somebody cancels it."""
    fate: Fate = "waiting"
    executions: list[Execution] = field(default_factory=list[Execution])
    """In their order."""
    problem: str = ""
    """Why it is lost."""

    @property
    def deaths(self) -> tuple[Moment, ...]:
        """When workers die in this run's write."""
        match self.scenario:
            case "two_deaths":
                return ("before_end", "before_end")
            case "lying_writer":
                return (_DEATHS_OF_LIES[self.lie],)
            case "other_ledger" | "emptied" | "restored" | "clocks":
                return ("before_end",) if self.number % 2 else ("after_end",)
            case _:
                return ()

    @property
    def lie(self) -> Lie:
        """What somebody writes of it, where somebody lies."""
        return list(_DEATHS_OF_LIES)[self.number % len(_DEATHS_OF_LIES)]


def planned(
    charges: Sequence[tuple[str, str]], scenarios: Sequence[ScenarioName], seed: int, cancelled: float = 0.0
) -> list[PlannedRun]:
    """A run for each order.

    Args:
        charges: Order number and charge.
        scenarios: What goes wrong for each.
        seed: Decides on tools and amounts.
        cancelled: How many of the plain ones are to be cancelled, from 0 to 1.
    """
    whims = random.Random(f"{seed}/cancelled")
    chance = random.Random(f"{seed}/runs")
    runs: list[PlannedRun] = []
    for (order_id, charge_id), scenario in zip(charges, scenarios, strict=True):
        number = sum(run.scenario == scenario for run in runs)
        task = RefundTask(
            tool=_tool(scenario, number, chance.random()),
            order_id=order_id,
            amount_usd=Decimal(chance.randint(100, 900)) / 100,
            looks={"continued": 2, "reset": 1}.get(scenario, 0),
        )
        is_cancelled = scenario == "plain" and whims.random() < cancelled
        whim = whims.uniform(0, _LATEST_CANCEL) if is_cancelled else None
        runs.append(PlannedRun(f"{scenario}-{number}", task, charge_id, scenario, number, whim))
    return runs


def _tool(
    scenario: ScenarioName, number: int, drawn: float
) -> Literal["refund_probed", "refund_asked", "refund_keyed", "refund_blocking"]:
    match scenario:
        case "plain":
            return ASKED if drawn < ASKED_SHARE else KEYED if drawn < ASKED_SHARE + KEYED_SHARE else PROBED
        case "two_deaths":
            return (PROBED, ASKED, KEYED)[number % 3]
        case "threads":
            return BLOCKING
        case "lying_writer":
            return ASKED if number // len(_DEATHS_OF_LIES) % 2 else PROBED
        case "other_ledger" | "emptied" | "restored":
            return ASKED if number % 4 == 3 else PROBED
        case _:
            return PROBED


def queue_of(run: PlannedRun) -> str:
    """The task queue of the workers that serve it."""
    return f"chaos-{SCENARIOS[run.scenario].cast}"


def ended(runs: Sequence[PlannedRun]) -> int:
    """How many runs have ended."""
    return sum(run.fate == "ended" for run in runs)


def told(runs: Sequence[PlannedRun], tell: Callable[[str], None], more: str) -> None:
    """Say how far the runs are."""
    fates = {fate: sum(run.fate == fate for run in runs) for fate in ("waiting", "open", "ended", "lost")}
    counted = ", ".join(f"{number} {fate}" for fate, number in fates.items() if number)
    late = [run.workflow_id for run in runs if run.fate == "open"]
    tell(f"{counted}{more}" + (f"; open: {', '.join(late)}" if len(late) < 12 else ""))
