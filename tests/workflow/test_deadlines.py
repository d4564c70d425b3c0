"""What happens when nobody comes: on a server that skips time."""

from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.testing import TimeSkipper, TimeSkippingConfig, WorkflowEnvironment

from agentflow import Resolution
from agentflow.errors import DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.deciding_agents import Hierarchic, Wirer
from tests.workflow.harness import replayed, serving
from tests.workflow.stepping_agents import Hasty

DONE = answer({"account": "alice", "amount": "10.00"})


async def test_an_approval_that_nobody_gives_is_refused_at_its_deadline(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="600.00"), DONE])
    async with serving(skipping, model, tmp_path) as bank:
        outcome = await bank.run(Banker)
        assert bank.bank.paid == []
    assert "expired" in (outcome.tool_calls[0].error or "")


async def test_where_one_of_two_people_decided_nothing_says_that_nobody_did(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    skipper = TimeSkipper(skipping.client, config=TimeSkippingConfig(enabled=False))
    model = ScriptedModel([call("wire", account="bob", amount="9.00"), DONE])
    settings = {"client": skipper.client, "workflows": [Wirer]}
    async with serving(skipping, model, tmp_path, **settings) as bank:
        handle = await bank.start(Wirer)
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann", roles=("finance",))
        await skipper.fast_forward(handle, Wirer.approval_timeout + timedelta(minutes=1))
        outcome = await handle.result()
        refused = await bank.refusals(handle)
    says = f"1 of 2 people approved (ann) before {request.deadline.isoformat()}"
    assert (outcome.tool_calls[0].error or "").endswith(f"expired: {says}")
    assert f"{request.id} expired: {says}" in refused


async def test_where_one_of_two_people_said_what_happened_nothing_says_that_nobody_did(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    skipper = TimeSkipper(skipping.client, config=TimeSkippingConfig(enabled=False))
    model = ScriptedModel([call("wire", account="bob", amount="9.00"), DONE])
    settings = {"client": skipper.client, "workflows": [Wirer]}
    async with serving(skipping, model, tmp_path, **settings) as bank:
        handle = await bank.start(Wirer)
        request = await bank.pending(handle)
        for name in ("ann", "bob"):
            await bank.agents.approve(handle.id, request.id, by=name, roles=("finance",))
        escalation = await bank.escalation(handle)
        word = Resolution(action="did_not_happen", by="ann", roles=("finance",))
        await bank.agents.resolve(handle.id, word)
        await skipper.fast_forward(handle, Wirer.escalation_timeout + timedelta(minutes=1))
        outcome = await handle.result()
        refused = await bank.refusals(handle)
    says = f"1 of 2 people answered (ann: did_not_happen) before {escalation.deadline.isoformat()}"
    assert outcome.status == "escalated"
    assert outcome.reason.endswith(f"({says})")
    assert f"{escalation.id}: {says}" in refused


async def test_a_late_approval_is_recorded_as_refused_and_has_no_effect(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    script = [
        call("pay", account="alice", amount="600.00"),
        call("pay", account="bob", amount="700.00"),
        DONE,
    ]
    # This run's clock moves only when the test says so.
    skipper = TimeSkipper(skipping.client, config=TimeSkippingConfig(enabled=False))
    async with serving(skipping, ScriptedModel(script), tmp_path, client=skipper.client) as bank:
        handle = await bank.start(Banker)
        assert (await bank.pending(handle)).id == "approval-1"
        await skipper.fast_forward(handle, Banker.approval_timeout + timedelta(minutes=1))
        assert (await bank.pending(handle)).id == "approval-2"
        with pytest.raises(DecisionRefusedError, match="expired already"):
            await bank.agents.approve(handle.id, "approval-1", by="ann")
        await bank.agents.reject(handle.id, "approval-2", by="ann")
        await handle.result()
        assert bank.bank.paid == []


async def test_the_next_role_may_decide_once_half_the_time_is_over(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    skipper = TimeSkipper(skipping.client, config=TimeSkippingConfig(enabled=False))
    script = ScriptedModel([call("pay", account="alice", amount="600.00"), DONE])
    settings = {"client": skipper.client, "workflows": [Hierarchic]}
    async with serving(skipping, script, tmp_path, **settings) as bank:
        handle = await bank.start(Hierarchic)
        request = await bank.pending(handle)
        with pytest.raises(DecisionRefusedError, match="none of the roles support"):
            await bank.agents.approve(handle.id, request.id, by="fay", roles=("finance",))
        await skipper.fast_forward(handle, Hierarchic.approval_timeout / 2 + timedelta(seconds=1))
        log = [r.detail for r in await bank.agents.decisions(handle.id) if r.accepted]
        assert any("the role finance may decide as well" in detail for detail in log)
        await bank.agents.approve(handle.id, request.id, by="fay", roles=("finance",))
        outcome = await handle.result()
        await replayed(await handle.fetch_history(), Hierarchic)
    assert outcome.tool_calls[0].approved_by == ("fay",)


async def test_an_escalation_that_nobody_takes_ends_the_run_as_escalated(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(skipping, ScriptedModel([answer("?"), answer("?")]), tmp_path) as bank:
        outcome = await bank.run(Banker)
    assert outcome.status == "escalated"
    assert "nobody took over" in outcome.reason


async def test_a_run_that_takes_longer_than_its_wall_time_is_timed_out(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(skipping, ScriptedModel([]), tmp_path) as bank:
        outcome = await bank.run(Hasty)
    assert outcome.status == "timed_out"
    assert "1:00:00" in outcome.reason
