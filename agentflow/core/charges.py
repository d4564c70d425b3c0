"""What the calls of a tool and of its probe cost: at most, and as their activity has counted them.

Each attempt of an activity calls the tool once at most, and before that its probe once at most. The first
attempt at a call that nothing was done for has nothing to ask the probe about.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentflow.contracts.tools import Billed, ToolContract


@dataclass(frozen=True)
class Prices:
    """Dollars for one call."""

    call: Decimal
    """Of the tool."""
    probe: Decimal
    """Of its probe; zero where it has none."""

    @classmethod
    def of(cls, contract: ToolContract) -> "Prices":
        """A tool's."""
        return cls(contract.options.cost_usd, contract.probe_cost_usd)


@dataclass(frozen=True)
class Planned:
    """The attempts that one activity may make."""

    attempts: int
    prices: Prices
    kind: Literal["first", "again", "inquiry"]
    """``first``: nothing was done before it. ``again``: it may find what an attempt before it left.
    ``inquiry``: it asks the probe, and never calls the tool."""

    @property
    def worst_usd(self) -> Decimal:
        """What all its attempts cost at most."""
        return self._usd(*self._most(self.attempts))

    def charged_usd(self, billed: Billed | None) -> Decimal:
        """What it may have cost.

        Args:
            billed: What its last attempt counted; ``None`` where nothing was heard of that one.
        """
        if billed is None:
            return self.worst_usd
        # Attempts beyond those that were planned are refused by the seal: what says otherwise is capped.
        before_calls, before_probes = self._most(min(billed.before, self.attempts - 1))
        most_calls, most_probes = self._most(self.attempts)
        calls = min(before_calls + billed.calls, most_calls)
        return self._usd(calls, min(before_probes + billed.probes, most_probes))

    def certain_usd(self, billed: Billed | None) -> Decimal:
        """The part of that which was certainly called, where the last attempt has answered."""
        if billed is None:
            return Decimal(0)
        return min(self._usd(billed.calls, billed.probes), self.charged_usd(billed))

    def _most(self, attempts: int) -> tuple[int, int]:
        """Calls of the tool, and of its probe."""
        match self.kind:
            case "first":
                return attempts, max(attempts - 1, 0)
            case "again":
                return attempts, attempts
            case "inquiry":
                return 0, attempts

    def _usd(self, calls: int, probes: int) -> Decimal:
        return self.prices.call * calls + self.prices.probe * probes


def affordable(plan: Callable[[int], Planned], most: int, fits: Callable[[Decimal], bool]) -> Planned | None:
    """The plan with the most attempts that all fit, each of which may be billed; ``None`` if not one does."""
    plans = map(plan, range(most, 0, -1))
    return next((planned for planned in plans if fits(planned.worst_usd)), None)
