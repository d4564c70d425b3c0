"""What runs cost, and what a success costs."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from agentflow.contracts.wire import Contract, Usd


@dataclass(frozen=True)
class RunCost:
    """One run's share in a group."""

    group: str
    workflow_id: str
    cost_usd: Decimal
    completed: bool
    """Whether the run ended as ``completed``."""


class CostLine(Contract):
    """What a group of runs cost."""

    group: str
    runs: int
    completed: int
    cost_usd: Usd
    """Of all its runs, those that came to nothing included."""
    cpsc_usd: Usd | None
    """Cost per successful completion: ``cost_usd / completed``, to a millionth of a dollar. ``None`` without
    any: what one would cost is not known, and zero it isn't."""


def cost_lines(costs: Iterable[RunCost]) -> tuple[CostLine, ...]:
    """A line for each group, the dearest first."""
    by_group: dict[str, list[RunCost]] = {}
    for cost in costs:
        by_group.setdefault(cost.group, []).append(cost)
    lines = [_line(group, found) for group, found in by_group.items()]
    return tuple(sorted(lines, key=lambda line: (-line.cost_usd, line.group)))


def total_line(costs: Iterable[RunCost]) -> CostLine:
    """All groups together: a run that has a share in several counts once."""
    return _line("all", list(costs))


def _line(group: str, costs: list[RunCost]) -> CostLine:
    spent = sum((cost.cost_usd for cost in costs), Decimal(0))
    completed = len({cost.workflow_id for cost in costs if cost.completed})
    return CostLine(
        group=group,
        runs=len({cost.workflow_id for cost in costs}),
        completed=completed,
        cost_usd=spent,
        cpsc_usd=(spent / completed).quantize(Decimal("1e-6")) if completed else None,
    )
