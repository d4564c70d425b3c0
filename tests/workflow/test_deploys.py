"""A deploy changes an agent's class while runs of it are at work: they go on as they were pinned."""

import re
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.escalation import Resolution
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow import deployed_agents
from tests.workflow.agents import Banker
from tests.workflow.deployed_agents import (
    Asked,
    FullyReporting,
    Guarding,
    Instructed,
    Recoded,
    SurelyReporting,
    Toolless,
)
from tests.workflow.deploying import Deploys, ended
from tests.workflow.harness import decoded

SMALL = call("pay", account="alice", amount="10.00")
LARGE = call("pay", account="alice", amount="600.00")
REPORT = {"account": "alice", "amount": "600.00"}

DEPLOYS = [
    found
    for name, found in sorted(vars(deployed_agents).items())
    if isinstance(found, type) and issubclass(found, Banker) and found not in (Banker, Recoded)
] + [FullyReporting, SurelyReporting, Asked]
"""All that is pinned by value, or recorded."""


@pytest.fixture
def deploys(temporal: WorkflowEnvironment, tmp_path: Path) -> Deploys:
    return Deploys(temporal, tmp_path, ScriptedModel([SMALL, LARGE, SMALL, answer(REPORT)]))


@pytest.mark.parametrize("agent", DEPLOYS, ids=lambda agent: agent.__name__)
async def test_a_run_that_waits_for_approval_goes_on_as_it_was_pinned(deploys: Deploys, agent: type) -> None:
    handle, request = await deploys.waiting()
    async with deploys.of(agent) as after:
        assert (await after.pending(handle)) == request
        receipt = await after.agents.approve(handle.id, request.id, by="ann")
        outcome = await ended(handle, agent)
    assert receipt.status == "approved"
    assert outcome.status == "completed"
    assert outcome.output == REPORT
    assert after.bank.paid == [("alice", "10.00"), ("alice", "600.00"), ("alice", "10.00")]
    assert {asked.instructions for asked in deploys.model.requests} == {Banker.instructions}
    assert {len(asked.tools) for asked in deploys.model.requests} == {len(Banker.tools)}


@pytest.mark.parametrize("agent", [Instructed, Guarding, SurelyReporting], ids=lambda agent: agent.__name__)
async def test_a_run_that_waits_goes_on_when_the_deploy_is_rolled_back(deploys: Deploys, agent: type) -> None:
    handle, request = await deploys.waiting()
    async with deploys.of(agent) as after:
        assert (await after.pending(handle)) == request
    async with deploys.of(Banker) as again:
        await again.agents.approve(handle.id, request.id, by="ann")
        outcome = await ended(handle, Banker)
    assert outcome.status == "completed"


async def test_a_new_run_is_of_the_new_class(deploys: Deploys) -> None:
    async with deploys.of(Banker) as before:
        await before.start(Banker)
    async with deploys.of(Guarding) as after:
        outcome = await after.run(Guarding)
    assert (outcome.status, outcome.reason) == ("denied", "nothing is done any more")


async def test_a_run_stops_where_a_rule_is_asked_whose_code_is_gone(deploys: Deploys) -> None:
    handle, request = await deploys.waiting()
    async with deploys.of(Recoded) as after:
        await after.agents.approve(handle.id, request.id, by="ann")
        outcome = await ended(handle, Recoded)
    assert outcome.status == "denied"
    assert f"pinned to the rules {Banker._definition.rules_name.id}" in outcome.reason
    assert "the condition of large and huge and frozen" in outcome.reason
    assert after.bank.paid == [("alice", "10.00")]


async def test_a_call_that_was_allowed_stays_so_where_the_code_that_allowed_it_is_gone(
    deploys: Deploys,
) -> None:
    handle, request = await deploys.waiting()
    async with deploys.of(Recoded) as after:
        await after.agents.approve(handle.id, request.id, by="ann")
        outcome = await ended(handle, Recoded)
    assert [one.rule for one in outcome.tool_calls] == ["not_recorded"]
    assert after.bank.paid == [("alice", "10.00")]


async def test_only_what_rules_do_not_simply_allow_is_recorded(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    frozen = call("pay", account="frozen", amount="1.00")
    deploys = Deploys(temporal, tmp_path, ScriptedModel([SMALL, frozen, LARGE, SMALL, answer(REPORT)]))
    async with deploys.of(Banker) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        await ended(handle, Banker)
    text = decoded((await handle.fetch_history()).to_json())
    said = re.findall(r'\{"decision": \{"verdict": "(\w+)"', text)
    # The last is what they say once more after the approval.
    assert said == ["deny", "ask", "ask"]


async def test_an_answer_that_was_refused_stays_refused_whatever_the_type_takes_now(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([answer(REPORT), answer(REPORT), answer({"account": "bob", "amount": "1"})])
    deploys = Deploys(temporal, tmp_path, model)
    async with deploys.of(SurelyReporting) as before:
        handle = await before.start(SurelyReporting)
        stuck = await before.escalation(handle)
        assert "only bob has accounts" in stuck.reason
    async with deploys.of(Banker) as after:
        guide = Resolution(action="guide", by="ann", text="it is bob's", escalation_id=stuck.id)
        await after.agents.resolve(handle.id, guide)
        outcome = await ended(handle, Banker)
    assert (outcome.status, outcome.output["account"]) == ("completed", "bob")


async def test_a_tool_that_the_class_no_longer_names_is_called_while_a_worker_has_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    again = call("pay_regardless", account="alice", amount="1.00")
    deploys = Deploys(temporal, tmp_path, ScriptedModel([LARGE, again, answer(REPORT)]))
    handle, request = await deploys.waiting()
    async with deploys.of(Toolless) as after:
        await after.agents.approve(handle.id, request.id, by="ann")
        outcome = await ended(handle, Toolless)
    assert outcome.status == "completed"
    assert [done.tool for done in outcome.tool_calls] == ["pay", "pay_regardless"]
