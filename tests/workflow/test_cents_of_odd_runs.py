"""Every cent is in every report: of calls that a run doesn't wait for, resets, Temporal's tries, other models."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentTask
from agentflow.adapters.history import tries
from agentflow.adapters.history.spent import spent_by
from agentflow.adapters.run_timeline import timeline_of
from agentflow.cli.cost import model_shares
from agentflow.cli.visibility import RunRow, find_runs, runs_query, with_spending
from agentflow.contracts.budget import Usage
from agentflow.contracts.model import ModelAnswer, ModelCall, ModelPrice
from agentflow.contracts.names import (
    IDENTIFY_LEDGER_ACTIVITY,
    RECONCILE_EFFECT_ACTIVITY,
    RESOLVE_MANIFEST_ACTIVITY,
)
from agentflow.testing import ScriptedModel, answer
from tests.workflow.chatting_agents import Summarising
from tests.workflow.harness import Harness, chain, eventually, serving
from tests.workflow.hasty_agents import Again, AgainLater, Hasty, HastyInChat, LaterAgain
from tests.workflow.metered_agents import PRICE, Metered, Shop, Shopper, Waiting
from tests.workflow.outside_doors import reset_to
from tests.workflow.test_compaction import CONTEXT, pages
from tests.workflow.test_every_cent import LOOKS, ORDERS, reports, sleeps
from tests.workflow.unreachable import Unreachable, make_outages_short

TASK: Any = AgentTask(input="go", requested_by="rita")
SMALL = {"input": "go", "requested_by": "rita"}


async def listed(bank: Harness, name: str, runs: int) -> list[RunRow]:
    """The runs of a workflow id as a list has them, with what they have spent."""

    async def look() -> list[RunRow] | None:
        rows = await find_runs(bank.client, runs_query(extra=f"WorkflowId = '{name}'"), 10)
        return rows if len(rows) == runs and all(row.closed for row in rows) else None

    return await with_spending(bank.client, await eventually(look))


async def by_model(bank: Harness, rows: list[RunRow]) -> tuple[Decimal, Decimal]:
    """What ``agentflow cost --by model`` says: in all, and of the model."""
    shares = await model_shares(bank.client, rows)
    of_model = (share.cost_usd for share in shares if share.group == "scripted:model")
    return sum((share.cost_usd for share in shares), Decimal(0)), sum(of_model, Decimal(0))


def spent_in_all(rows: list[RunRow]) -> Decimal:
    return sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0))


@pytest.mark.parametrize("how", ["go", "stumble"])
async def test_a_call_that_a_run_does_not_wait_for_is_settled_as_it_ends(
    temporal: WorkflowEnvironment, tmp_path: Path, how: str
) -> None:
    shop = Shop(hangs=True)
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=shop, workflows=[Hasty]) as bank:
        handle = await bank.start(Hasty, how)
        with suppress(WorkflowFailureError):
            await handle.result()
        said = await reports(bank, handle)
    assert len(set(said.values())) == 1
    assert said["audit"] >= shop.billed > 0


@dataclass
class Slow:
    """Takes its time."""

    async def chat(self, call: ModelCall) -> ModelAnswer:
        await asyncio.sleep(1)
        usage = Usage(input_tokens=100, output_tokens=5)
        return ModelAnswer(message=answer("x"), usage=usage, response_model="model", finish_reason="stop")


async def test_no_run_goes_on_in_a_new_execution_while_its_model_is_asked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    shop = Shop()
    async with serving(temporal, Slow(), tmp_path, bank=shop, workflows=[HastyInChat]) as bank:
        handle = await bank.start(HastyInChat)
        outcome = await handle.result()
        assert len(await chain(handle)) == 1
    assert outcome.cost_usd > shop.billed


async def begun(bank: Harness, agent: str, task: Any = TASK, **more: Any) -> WorkflowHandle[Any, Any]:
    """A run that Temporal may try three times."""
    policy = RetryPolicy(maximum_attempts=3, initial_interval=timedelta(milliseconds=10))
    name = f"again-{uuid4()}"
    settings: Any = {"id": name, "task_queue": bank.task_queue, "retry_policy": policy, **more}
    return await bank.client.start_workflow(agent, task, **settings)


async def used_up(
    environment: WorkflowEnvironment, directory: Path, agent: type, budget: str, *, listed_as: int
) -> tuple[Decimal, list[Decimal]]:
    """What was billed of a run whose tries use its budget up, as every report says, and each row's share."""
    shop, task = Shop(), {**SMALL, "budget": {"cost_usd": budget}}
    async with serving(environment, ScriptedModel([]), directory, bank=shop, workflows=[agent]) as bank:
        handle = await begun(bank, agent.__name__, task)
        outcome = await handle.result()
        said = await reports(bank, handle)
        rows = await listed(bank, handle.id, listed_as)
    assert outcome["status"] == "budget_exhausted"
    said["outcome"] = Decimal(outcome["cost_usd"])
    assert set(said.values()) == {shop.billed}
    return shop.billed, sorted(row.cost_usd or Decimal(0) for row in rows)


async def test_what_temporal_tries_again_is_in_every_report(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    shop = Shop()
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=shop, workflows=[Again]) as bank:
        handle = await begun(bank, "Again")
        outcome = await handle.result()
        said = await reports(bank, handle)
        rows = await listed(bank, handle.id, 3)
        in_all, _ = await by_model(bank, rows)
    said["outcome"] = Decimal(outcome["cost_usd"])
    assert set(said.values()) == {shop.billed} == {in_all}
    assert [row.cost_usd for row in rows] == [PRICE] * 3
    assert shop.billed == Decimal("0.30")


async def test_a_list_of_one_try_has_what_that_one_spent(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=Shop(), workflows=[Again]) as bank:
        handle = await begun(bank, "Again")
        await handle.result()
        await listed(bank, handle.id, 3)
        query = runs_query(status="completed", extra=f"WorkflowId = '{handle.id}'")
        rows = await with_spending(bank.client, await find_runs(bank.client, query, 10))
    assert [row.cost_usd for row in rows] == [PRICE]


async def test_all_tries_of_a_run_have_one_budget(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    shop, task = Shop(), {**SMALL, "budget": {"cost_usd": "0.15"}}
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=shop, workflows=[Again]) as bank:
        handle = await begun(bank, "Again", task)
        outcome = await handle.result()
        said = await reports(bank, handle)
    assert shop.billed == PRICE
    assert outcome["status"] == "budget_exhausted"
    assert "tries of this run before this one spent 0.1" in outcome["reason"]
    said["outcome"] = Decimal(outcome["cost_usd"])
    assert set(said.values()) == {PRICE}


async def test_what_a_try_that_timed_out_may_have_spent_is_in_the_next_ones_budget(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    shop, task = Shop(hangs=True), {**SMALL, "budget": {"cost_usd": "0.15"}}
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=shop, workflows=[Again]) as bank:
        handle = await begun(bank, "Again", task, run_timeout=timedelta(seconds=3))
        outcome = await handle.result()
        told = await spent_by(bank.client, handle.id)
    assert shop.billed == PRICE
    assert outcome["status"] == "budget_exhausted"
    assert told.cost_usd == told.possibly_billed_usd == Decimal(outcome["cost_usd"]) == PRICE


async def test_an_execution_that_went_on_in_a_new_one_is_tried_again_with_what_its_try_spent(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    billed, rows = await used_up(temporal, tmp_path, AgainLater, "0.75", listed_as=3)
    # Five before it went on, and one in each try after.
    assert billed == 7 * PRICE
    assert rows == [0, PRICE, 6 * PRICE]


async def test_a_try_that_continues_as_new_takes_along_what_those_before_it_spent(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    billed, rows = await used_up(temporal, tmp_path, LaterAgain, "0.65", listed_as=2)
    # One, five, and none.
    assert billed == 6 * PRICE
    assert rows == [PRICE, 5 * PRICE]


async def test_a_try_spends_nothing_where_those_before_it_can_not_be_read(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "MAX_EVENTS", 3)
    shop = Shop()
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=shop, workflows=[Again]) as bank:
        handle = await begun(bank, "Again")
        outcome = await handle.result()
        told = await spent_by(bank.client, handle.id)
    assert outcome["status"] == "denied"
    assert "can't be told, so this one may spend nothing" in outcome["reason"]
    assert shop.billed == told.cost_usd == PRICE


async def test_a_run_fails_while_temporal_can_not_say_what_its_tries_spent(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "READ_TIME", timedelta(0))
    shop = Shop()
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=shop, workflows=[Again]) as bank:
        handle = await begun(bank, "Again")
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        said = await reports(bank, handle)
    assert shop.billed == PRICE
    assert set(said.values()) == {PRICE}


async def test_a_try_that_is_reset_to_its_beginning_begins_with_what_those_before_it_spent(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    shop = Shop()
    async with serving(temporal, ScriptedModel([]), tmp_path, bank=shop, workflows=[Again]) as bank:
        handle = await begun(bank, "Again")
        await handle.result()
        run_id, history = (
            (await handle.describe()).run_id,
            await bank.client.get_workflow_handle(handle.id).fetch_history(),
        )
        completed = "workflow_task_completed_event_attributes"
        point = next(event.event_id for event in history.events if event.HasField(completed))
        await reset_to(bank, handle.id, run_id, point)
        outcome = await bank.client.get_workflow_handle(handle.id).result()
        rows = await listed(bank, handle.id, 4)
        told = await spent_by(bank.client, handle.id)
    assert shop.billed == 4 * PRICE == told.cost_usd == spent_in_all(rows)
    # What it spent itself before the reset is not in its budget.
    assert Decimal(outcome["cost_usd"]) == 3 * PRICE


@pytest.mark.parametrize("task", [2, 3, 4, 5, 6])
async def test_each_cent_counts_once_wherever_a_run_was_reset_to(
    temporal: WorkflowEnvironment, tmp_path: Path, task: int
) -> None:
    shop = Shop()
    model = Metered(ScriptedModel([LOOKS, ORDERS, answer("done")]))
    async with serving(temporal, model, tmp_path, bank=shop, workflows=[Shopper]) as bank:
        handle = await bank.start(Shopper)
        await handle.result()
        run_id, history = (await handle.describe()).run_id, await handle.fetch_history()
        completed = "workflow_task_completed_event_attributes"
        points = [event.event_id for event in history.events if event.HasField(completed)]
        await reset_to(bank, handle.id, run_id, points[task - 1])
        await bank.client.get_workflow_handle(handle.id).result()
        rows = await listed(bank, handle.id, 2)
        said, told = await by_model(bank, rows), await spent_by(bank.client, handle.id)
    billed = shop.billed + model.billed
    assert (spent_in_all(rows), told.cost_usd) == (billed, billed)
    assert said == (billed, model.billed)


async def test_each_run_of_a_workflow_id_has_the_models_that_it_asked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model, name = Metered(ScriptedModel([LOOKS, answer("done")])), f"reused-{uuid4()}"
    shop = Shop()
    async with serving(temporal, model, tmp_path, bank=shop, workflows=[Shopper]) as bank:
        for text in ("one", "a longer one. " * 50):
            task = AgentTask(input=text, requested_by="rita")
            run = await bank.client.start_workflow("Shopper", task, id=name, task_queue=bank.task_queue)
            await run.result()
        said = await by_model(bank, await listed(bank, name, 2))
    assert said == (shop.billed + model.billed, model.billed)


async def test_after_a_summary_by_another_model_each_answer_is_told_of_the_model_that_gave_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = pages(20)
    cheap = ModelPrice(input_usd_per_mtok=Decimal("0.1"), output_usd_per_mtok=Decimal("0.1"))
    settings: Any = {"context_tokens": CONTEXT, "prices": {"scripted:cheap": cheap}}
    async with serving(temporal, model, tmp_path, **settings) as bank:
        handle = await bank.start(Summarising, "read the statement")
        outcome = await handle.result()
        timeline = await timeline_of(bank.client, handle.id)
    steps = [step for step in timeline.steps if step.kind == "model"]
    asked = [request.model.name for request in model.requests]
    assert len(set(asked)) == 2
    assert [step.name for step in steps] == asked
    assert sum(step.cost_usd or 0 for step in steps) == outcome.cost_usd


async def test_an_answer_of_too_few_input_tokens_is_in_the_report_of_a_run_that_said_nothing_more(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    usage = Usage(input_tokens=1, output_tokens=5)
    said = ModelAnswer(message=answer("done"), usage=usage, response_model="model", finish_reason="stop")
    async with serving(temporal, ScriptedModel([said]), tmp_path, bank=Shop(), workflows=[Waiting]) as bank:
        handle = await bank.start(Waiting, "a long text. " * 500)
        await sleeps(handle)
        charged = (await bank.agents.usage(handle.id)).settled.cost_usd
        await handle.terminate()
        assert (await spent_by(bank.client, handle.id)).cost_usd >= charged


async def test_nothing_is_reserved_for_a_call_that_did_not_begin_while_people_are_asked(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    away = (RESOLVE_MANIFEST_ACTIVITY, IDENTIFY_LEDGER_ACTIVITY, RECONCILE_EFFECT_ACTIVITY)
    settings: Any = {"bank": Shop(), "workflows": [Shopper], "ledger": Unreachable(tmp_path, *away)}
    async with serving(temporal, ScriptedModel([ORDERS]), tmp_path, **settings) as bank:
        handle = await bank.start(Shopper)
        await bank.escalation(handle)
        reserved = (await bank.agents.usage(handle.id)).reserved
        await handle.terminate()
    assert (reserved.cost_usd, reserved.tool_calls) == (0, 0)
