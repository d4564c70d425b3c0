"""Each attempt of a tool and of its probe is paid for, on a server: reserved before, settled after."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome
from agentflow.contracts.escalation import Resolution, ResolutionAction, RunStatus
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import Harness, eventually, serving
from tests.workflow.metered_agents import PRICE, Metered, Shop, Shopper

QUARTER: Any = {"cost_usd": "0.25"}


async def outcome_of(
    temporal: WorkflowEnvironment, directory: Path, shop: Shop, *tools: str, **task: Any
) -> tuple[AgentOutcome[Any], Decimal]:
    """How a run ends that makes these calls, and what was billed. Whoever is asked guides, or says no."""
    model = Metered(ScriptedModel([*(call(name, item="tea") for name in tools), answer("done")]))
    settings: Any = {"bank": shop, "workflows": [Shopper], "more_tools": ()}
    async with serving(temporal, model, directory, **settings) as bank:
        handle = await bank.start(Shopper, **task)
        outcome = await _answered(bank, handle)
    return outcome, shop.billed + model.billed


async def _answered(bank: Harness, handle: Any) -> AgentOutcome[Any]:
    answered = set[str]()

    async def asked_anew() -> RunStatus | None:
        # A word that was sent may not have been read yet. A query is answered by a run that is over, too.
        status = await bank.agents.status(handle.id)
        is_new = status.escalation is not None and status.escalation.id not in answered
        return status if is_new or status.outcome else None

    while (waiting := await eventually(asked_anew)).escalation is not None:
        asked = waiting.escalation
        answered.add(asked.id)
        action: ResolutionAction = "did_not_happen" if asked.effect else "guide"
        word = Resolution(escalation_id=asked.id, action=action, by="otto", text="go on")
        await bank.agents.resolve(handle.id, word)
    return await handle.result()


@pytest.mark.parametrize("name", ["look_up", "order", "reserve"])
async def test_lost_answers_bill_no_more_than_the_budget_and_all_of_it_is_settled(
    temporal: WorkflowEnvironment, tmp_path: Path, name: str
) -> None:
    shop = Shop(losing=100)
    outcome, billed = await outcome_of(temporal, tmp_path, shop, name, name, budget=QUARTER)
    assert shop.billed > PRICE
    assert billed <= outcome.cost_usd <= Decimal("0.25")


@pytest.mark.parametrize("name", ["look_up", "order", "reserve"])
async def test_attempts_before_the_one_that_answered_are_settled(
    temporal: WorkflowEnvironment, tmp_path: Path, name: str
) -> None:
    outcome, billed = await outcome_of(temporal, tmp_path, Shop(losing=2), name)
    assert outcome.status == "completed"
    assert outcome.cost_usd == billed


async def test_a_call_that_fits_in_no_attempt_is_not_made(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    shop = Shop()
    outcome, _ = await outcome_of(temporal, tmp_path, shop, "order", budget={"cost_usd": "0.05"})
    assert (outcome.status, shop.billed) == ("budget_exhausted", 0)
    assert "a call of order does not fit" in outcome.reason
