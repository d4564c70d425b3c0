"""What a tool's activities are charged: each is reserved for before it is scheduled, and settled after it."""

from collections.abc import Callable
from decimal import Decimal

from agentflow.contracts.budget import Spend
from agentflow.contracts.tools import Billed, ToolContract
from agentflow.core.charges import Planned, Prices, affordable
from agentflow.errors import BudgetExhausted
from agentflow.workflow.run import Run

NOTHING = Billed()
"""Of an activity that was never scheduled, or that no worker began."""


class Charges:
    """The activities of one call, one after the other."""

    def __init__(self, run: Run, contract: ToolContract, name: str, *, counts: bool = True) -> None:
        """Begin.

        Args:
            run: Whose budget pays.
            contract: The tool's.
            name: Of the reservation; no other that may be under way has it.
            counts: Whether the first activity is one of the budget's ``tool_calls``.
        """
        self._run = run
        self._tool = contract.name
        self._prices = Prices.of(contract)
        self._name = name
        self._tool_calls = int(counts)
        self._planned: Planned | None = None

    def reserve(self, most: int, *, is_fresh: bool) -> int:
        """Set aside what a tool's activity may cost; answer how many of its attempts are covered.

        Args:
            most: How many attempts are left of the contract's.
            is_fresh: Whether nothing was done before for the call, by any execution of the run.

        Raises:
            BudgetExhausted: not even one attempt fits what is left.
        """
        return self._reserve(
            most, lambda attempts: Planned(attempts, self._prices, "first" if is_fresh else "again")
        )

    def reserve_inquiry(self, most: int) -> int:
        """Set aside what it may cost to ask the probe; answer how many attempts are covered.

        Raises:
            BudgetExhausted: not even one attempt fits what is left.
        """
        return self._reserve(most, lambda attempts: Planned(attempts, self._prices, "inquiry"))

    def settle(self, billed: Billed | None, *, counts: bool = True) -> None:
        """Charge what an activity has called, or may have; nothing where none is under way.

        Args:
            billed: As its last attempt counted; ``None`` where nobody can say, which is the worst case.
            counts: Whether it is one of the budget's ``tool_calls``.
        """
        planned, self._planned = self._planned, None
        if planned is None:
            return
        charged = planned.charged_usd(billed)
        spend = self._spend(charged) if counts else Spend(cost_usd=charged)
        self._tool_calls = 0
        run = self._run
        uncertain = charged - planned.certain_usd(billed)
        run.purse = run.purse.settle(self._name, spend, possibly_billed_usd=uncertain)

    def _reserve(self, most: int, plan: Callable[[int], Planned]) -> int:
        run = self._run

        def fits(worst: Decimal) -> bool:
            return run.purse.shortfall(self._spend(worst)) is None

        planned = affordable(plan, most, fits)
        if planned is None:
            problem = run.purse.shortfall(self._spend(plan(1).worst_usd))
            raise BudgetExhausted(f"a call of {self._tool} does not fit: {problem}")
        run.purse = run.purse.reserve(self._name, self._spend(planned.worst_usd))
        self._planned = planned
        return planned.attempts

    def _spend(self, cost: Decimal) -> Spend:
        return Spend(cost_usd=cost, tool_calls=self._tool_calls)
