"""A deploy changes what a worker still reads of its own class or code: runs at work go on as they were pinned."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, ModelPrice, Resolution
from agentflow.audit.replaying import ReplayedRuns
from agentflow.contracts.budget import Usage
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.messages import AssistantMessage
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.errors import DecisionRefusedError
from agentflow.testing import TEST_PRICE, ScriptedModel, answer, call
from tests.workflow import redeployed_agents as agents
from tests.workflow.deploying import Deploys, ended
from tests.workflow.desk import Desk
from tests.workflow.harness import chain, replayed

SMALL = call("pay", account="alice", amount="10.00")
LARGE = call("pay", account="alice", amount="600.00")
REPORT = {"account": "alice", "amount": "600.00"}
NONSENSE = answer("as you like")
PATIENCE = 40
"""Seconds: a run whose workflow tasks fail never ends."""
ORDER = {"text": "pay", "account": "alice"}


@pytest.fixture
def deploys(temporal: WorkflowEnvironment, tmp_path: Path) -> Deploys:
    return Deploys(temporal, tmp_path, ScriptedModel([SMALL, LARGE, SMALL, answer(REPORT)]))


async def outcome_of(handle: WorkflowHandle[Any, Any], *releases: type) -> AgentOutcome[Any]:
    """What became of a run, all of whose executions replay on each release."""
    async with asyncio.timeout(PATIENCE):
        outcome = await ended(handle, releases[-1])
    for history in await chain(handle):
        for release in releases:
            await replayed(history, release)
    return outcome


async def approved(deploys: Deploys, before: type, after: type, text: Any = "hello") -> AgentOutcome[Any]:
    """What became of a run that waited for an approval when the deploy came."""
    handle, request = await deploys.waiting(before, text)
    async with deploys.of(after) as later:
        await later.agents.approve(handle.id, request.id, by="ann")
        return await outcome_of(handle, before, after)


async def guided(deploys: Deploys, before: type, after: type) -> AgentOutcome[Any]:
    """What became of a run that a person had taken over when the deploy came."""
    async with deploys.of(before) as bank:
        handle = await bank.start(before)
        await bank.escalation(handle)
    async with deploys.of(after) as later:
        await later.agents.resolve(handle.id, Resolution(action="guide", by="ann", text="as you were"))
        return await outcome_of(handle, before, after)


@pytest.mark.parametrize(
    ("before", "after"), [(agents.Scoped, agents.Unscoped), (agents.Unscoped, agents.Scoped)]
)
async def test_a_run_keeps_the_scopes_of_its_release(deploys: Deploys, before: type, after: type) -> None:
    outcome = await approved(deploys, before, after)
    assert outcome.status == "completed"
    assert len({len(asked.tools) for asked in deploys.model.requests}) == 1


async def test_a_run_stays_frozen_when_its_class_is_renamed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    deploys = Deploys(temporal, tmp_path, ScriptedModel([LARGE, NONSENSE, NONSENSE, answer(REPORT)]))
    async with deploys.of(agents.Clerk) as before:
        handle = await before.start(agents.Clerk)
        request = await before.pending(handle)
        await handle.signal("freeze", Freeze(scope="agent", name="Clerk", by="ops"))
        await before.agents.approve(handle.id, request.id, by="ann")
        await before.escalation(handle)
    async with deploys.of(agents.Bookkeeper) as after:
        await after.agents.resolve(handle.id, Resolution(action="guide", by="ann", text="well"))
        outcome = await outcome_of(handle, agents.Clerk, agents.Bookkeeper)
    assert ([one.rule for one in outcome.tool_calls], after.bank.paid) == (["frozen"], [])


def reader() -> ScriptedModel:
    """Reads so much that its conversation is made shorter, and pays in the end."""
    pages = iter(range(20))
    last = iter((LARGE, answer(REPORT)))

    def say(request: ModelCall) -> AssistantMessage | ModelAnswer:
        if "Summarise" in getattr(request.messages[-1], "text", ""):
            return answer("so far: nothing unusual")
        page = next(pages, None)
        said = next(last) if page is None else call("statement", page=page)
        size = sum(len(getattr(m, "text", "") or getattr(m, "content", "") or "") for m in request.messages)
        return ModelAnswer(
            message=said,
            usage=Usage(input_tokens=size // 3 + 300, output_tokens=10),
            response_model="model",
            finish_reason="tool_calls" if said.tool_calls else "stop",
        )

    return ScriptedModel(say)


@pytest.mark.parametrize(
    ("before", "after"), [(agents.Summarising, agents.Clearing), (agents.Clearing, agents.Summarising)]
)
async def test_what_was_made_shorter_stays_so_when_the_strategy_is_another(
    temporal: WorkflowEnvironment, tmp_path: Path, before: type, after: type
) -> None:
    cheap = ModelPrice(input_usd_per_mtok=TEST_PRICE.input_usd_per_mtok, output_usd_per_mtok=1)  # type: ignore[arg-type]
    deploys = Deploys(
        temporal,
        tmp_path,
        reader(),
        context_tokens={"scripted:model": 4_000},
        prices={"scripted:cheap": cheap},
    )
    assert (await approved(deploys, before, after)).status == "completed"


@pytest.mark.parametrize(
    "after",
    [agents.OrderedWordily, agents.OrderedShortly, agents.OrderedFailing, agents.OrderedUnsayably],
    ids=lambda agent: agent.__name__,
)
async def test_a_run_goes_on_whatever_its_input_type_makes_of_the_input_now(
    deploys: Deploys, after: type
) -> None:
    outcome = await approved(deploys, agents.Ordered, after, ORDER)
    assert (outcome.status, outcome.output) == ("completed", REPORT)


async def test_a_run_that_continues_as_new_keeps_what_its_input_type_leaves_out_now(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    amounts = ("600.00", "601.00")
    paying = [call("pay", account="zoe-miller", amount=amount) for amount in amounts]
    look = call("statement", page=1)
    model = ScriptedModel([paying[0], look, look, look, look, paying[1], answer(REPORT)])
    deploys = Deploys(temporal, tmp_path, model)
    order = {"text": f"pay {' and '.join(amounts)}", "account": "zoe-miller"}
    handle, request = await deploys.waiting(agents.LongOrdered, order)
    assert request.rule == "large"
    async with deploys.of(agents.LongOrderedShortly) as after:
        await after.agents.approve(handle.id, request.id, by="ann")
        # Of an account that nobody named, the guard would ask as well.
        again = await after.pending(handle)
        assert (again.id, again.rule) == ("approval-2", "large")
        await after.agents.approve(handle.id, again.id, by="ann")
        await outcome_of(handle, agents.LongOrdered, agents.LongOrderedShortly)
    assert len(await chain(handle)) > 1
    assert after.bank.paid == [("zoe-miller", amount) for amount in amounts]


async def test_an_answer_that_was_refused_stays_so_when_its_types_code_fails_now(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    bobs = {"account": "bob", "amount": "1"}
    deploys = Deploys(temporal, tmp_path, ScriptedModel([answer(REPORT), answer(REPORT), answer(bobs)]))
    outcome = await guided(deploys, agents.Sure, agents.Failing)
    assert (outcome.status, outcome.output) == ("completed", bobs)


class DeskWithBooks(Desk):
    """Has what the tests of payments look at."""

    paid: tuple[()] = ()


async def test_what_lists_show_of_a_run_is_as_its_input_type_marked_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    text = "Some words. " * 1_400
    greet = call("greet", email="ann@x.org", age=30, text=text)
    deploys = Deploys(temporal, tmp_path, ScriptedModel([greet, answer(REPORT)]), bank=DeskWithBooks())
    outcome = await approved(deploys, agents.Cased, agents.OpenlyCased, {"text": text})
    assert outcome.status == "completed"


async def test_nobody_counts_whose_verifier_is_gone_and_the_approval_waits_for_it(deploys: Deploys) -> None:
    handle, request = await deploys.waiting(agents.Badged)
    async with deploys.of(agents.Unbadged) as after:
        with pytest.raises(DecisionRefusedError, match="no verifier"):
            await after.agents.approve(handle.id, request.id, by="ann")
    async with ReplayedRuns([agents.Unbadged], "default") as replayed_runs:
        told = await replayed_runs.told(handle.id, await handle.fetch_history())
    assert told.lacks == (
        "the class no longer has the verifier badge: what people decide counts for nothing",
    )
    async with deploys.of(agents.Badged) as again:
        await again.agents.approve(handle.id, request.id, by="ann")
        outcome = await outcome_of(handle, agents.Unbadged, agents.Badged)
    assert outcome.status == "completed"


async def test_conditions_that_no_hash_tells_apart_stay_with_their_rules(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    first = call("pay", account="wait", amount="10.00")
    deploys = Deploys(temporal, tmp_path, ScriptedModel([first, LARGE, answer(REPORT)]))
    outcome = await approved(deploys, agents.Limited, agents.LimitedOtherwise)
    assert [one.rule for one in outcome.tool_calls] == ["wait", "much"]
