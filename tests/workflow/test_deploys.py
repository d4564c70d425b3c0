"""A deploy changes an agent's class while runs of it are at work: they go on as they were pinned."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.approval import ApprovalRequest
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
from tests.workflow.harness import Harness, replayed, serving

SMALL = call("pay", account="alice", amount="10.00")
LARGE = call("pay", account="alice", amount="600.00")
REPORT = {"account": "alice", "amount": "600.00"}

DEPLOYS = [
    found
    for name, found in sorted(vars(deployed_agents).items())
    if isinstance(found, type) and issubclass(found, Banker) and found not in (Banker, Recoded)
] + [FullyReporting, SurelyReporting, Asked]
"""All that is pinned by value, or recorded."""


class Deploys:
    """Workers of several deploys that serve one task queue, one after the other."""

    def __init__(self, temporal: WorkflowEnvironment, directory: Path, model: ScriptedModel) -> None:
        self._temporal, self._directory, self.model = temporal, directory, model
        self._queue, self._bank = f"deploys-{directory.name}", None

    @asynccontextmanager
    async def of(self, *agents: type) -> AsyncIterator[Harness]:
        async with serving(
            self._temporal,
            self.model,
            self._directory,
            queue=self._queue,
            bank=self._bank,
            workflows=list(agents),
        ) as bank:
            self._bank = bank.bank
            yield bank

    async def waiting(self) -> tuple[WorkflowHandle[Any, Any], ApprovalRequest]:
        """A run of ``Banker`` that waits for an approval; its worker is gone."""
        async with self.of(Banker) as bank:
            handle = await bank.start(Banker)
            return handle, await bank.pending(handle)


@pytest.fixture
def deploys(temporal: WorkflowEnvironment, tmp_path: Path) -> Deploys:
    return Deploys(temporal, tmp_path, ScriptedModel([SMALL, LARGE, SMALL, answer(REPORT)]))


async def ended(handle: WorkflowHandle[Any, Any], agent: type) -> Any:
    """The outcome of a run that no workflow task of failed, and which replays on the agent."""
    outcome, history = await handle.result(), await handle.fetch_history()
    failures = [event for event in history.events if event.HasField("workflow_task_failed_event_attributes")]
    assert failures == []
    await replayed(history, agent)
    return outcome


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
