"""The run's purse: reserve the worst case before a call, settle what it was after.

Workflow code is single-threaded, so two calls can't reserve the same dollar.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from agentflow.contracts.budget import Budget, Spend, UsageReport
from agentflow.contracts.manifest import SpentBefore
from agentflow.errors import BudgetExhausted, ConfigurationError

_LIMITS = ("cost_usd", "input_tokens", "output_tokens", "model_calls", "tool_calls")


def _no_reservations() -> Mapping[str, Spend]:
    return {}


@dataclass(frozen=True)
class Purse:
    """What may be spent, what is spent, and what is promised to calls under way."""

    budget: Budget
    settled: Spend = field(default_factory=Spend)
    reservations: Mapping[str, Spend] = field(default_factory=_no_reservations)
    possibly_billed_usd: Decimal = Decimal(0)
    before: SpentBefore | None = None
    """The part of ``settled`` that tries before this one spent."""

    @property
    def reserved(self) -> Spend:
        """The sum of all reservations."""
        return sum(self.reservations.values(), Spend())

    def shortfall(self, spend: Spend) -> str | None:
        """Which limit a further spend would pass, in words, or ``None`` if it fits."""
        after = self.settled + self.reserved + spend
        for limit in _LIMITS:
            most, would_be = getattr(self.budget, limit), getattr(after, limit)
            if most is not None and would_be > most:
                return f"{limit} would reach {would_be}, the budget is {most}{self._by_tries(limit)}"
        return None

    def _by_tries(self, limit: str) -> str:
        if limit != "cost_usd" or self.before is None or not self.before.cost_usd:
            return ""
        return f", of which tries of this run before this one spent {self.before.cost_usd}"

    def affordable_attempts(self, worst: Spend, most: int) -> int:
        """How many attempts of a call fit, each of which may be billed in full: 0 to ``most``."""
        fits = (count for count in range(most, 0, -1) if self.shortfall(attempts(worst, count)) is None)
        return next(fits, 0)

    def reserve(self, name: str, spend: Spend) -> "Purse":
        """Set the worst case of a call aside.

        Raises:
            BudgetExhausted: it doesn't fit; the text names the limit.
            ValueError: the name has a reservation already.
        """
        if name in self.reservations:
            raise ValueError(f"{name} has a reservation already")
        if problem := self.shortfall(spend):
            raise BudgetExhausted(problem)
        return replace(self, reservations={**self.reservations, name: spend})

    def settle(self, name: str, actual: Spend, possibly_billed_usd: Decimal = Decimal(0)) -> "Purse":
        """Turn a reservation into what the call cost.

        Args:
            name: The reservation's.
            actual: What is charged, attempts that may have been billed included.
            possibly_billed_usd: The part of ``actual`` that is not certain.
        """
        rest = {other: spend for other, spend in self.reservations.items() if other != name}
        return replace(
            self,
            settled=self.settled + actual,
            reservations=rest,
            possibly_billed_usd=self.possibly_billed_usd + possibly_billed_usd,
        )

    def closed(self) -> "Purse":
        """The purse of a run that ends, or goes on elsewhere: calls still under way may be billed in full."""
        left = self.reserved
        return replace(
            self,
            settled=self.settled + left,
            reservations={},
            possibly_billed_usd=self.possibly_billed_usd + left.cost_usd,
        )

    @property
    def funds(self) -> str:
        """Dollars settled and reserved, as ``names.FUNDS_METADATA`` has them."""
        return f"{self.settled.cost_usd.normalize():f} {self.reserved.cost_usd.normalize():f}"

    def carried_over(self, settled: Spend, possibly_billed_usd: Decimal) -> "Purse":
        """The purse of a run that continued as new: what was spent before counts."""
        return replace(self, settled=settled, possibly_billed_usd=possibly_billed_usd)

    def after_tries(self, before: SpentBefore) -> "Purse":
        """The purse of a run that Temporal tries again: what the tries before spent counts.

        What the last execution of them was started with is in that, and in this purse already.
        """
        known = self.before or SpentBefore()
        spent = max(self.settled.cost_usd, before.cost_usd)
        return replace(
            self,
            settled=self.settled.model_copy(update={"cost_usd": spent}),
            possibly_billed_usd=self.possibly_billed_usd
            - known.possibly_billed_usd
            + before.possibly_billed_usd,
            before=before,
        )

    def report(self) -> UsageReport:
        """The purse as the ``usage`` query shows it."""
        return UsageReport(
            budget=self.budget,
            settled=self.settled,
            reserved=self.reserved,
            possibly_billed_usd=self.possibly_billed_usd,
        )


def attempts(worst: Spend, count: int) -> Spend:
    """What ``count`` attempts of one call cost at most: tokens and dollars multiply, calls don't."""
    return Spend(
        cost_usd=worst.cost_usd * count,
        input_tokens=worst.input_tokens * count,
        output_tokens=worst.output_tokens * count,
        model_calls=worst.model_calls if count else 0,
        tool_calls=worst.tool_calls if count else 0,
    )


def tightest(agent: Budget, asked: Budget | None) -> Budget:
    """The agent's budget, made smaller limit by limit where the task asks for less.

    Raises:
        ConfigurationError: the task names a limit above the agent's.
    """
    if asked is None:
        return agent
    limits: dict[str, object] = {}
    # Limits the caller left out are not limits of 1 dollar or 7 days: they are the agent's.
    for name in Budget.model_fields:
        own, wanted = getattr(agent, name), getattr(asked, name)
        if name not in asked.model_fields_set or wanted is None:
            limits[name] = own
        elif own is not None and _number(wanted) > _number(own):
            raise ConfigurationError(
                f"budget.{name} may only be smaller than the agent's {own}, not {wanted}"
            )
        else:
            limits[name] = wanted
    return Budget.model_validate(limits)


def _number(value: Decimal | int | timedelta) -> Decimal:
    return Decimal(str(value.total_seconds())) if isinstance(value, timedelta) else Decimal(value)
