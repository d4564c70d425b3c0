"""Approvals through both doors: what counts, and what is refused and recorded."""

from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.approval import ApprovalDecision
from agentflow.errors import ConfigurationError, DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, UnprovenBanker
from tests.workflow.harness import serving

DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]


async def test_an_approved_action_is_carried_out_with_exactly_its_arguments(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        assert bank.bank.paid == []
        await handle.signal(
            "approve", {"approval_id": request.id, "by": "ann", "arguments_hash": request.arguments_hash}
        )
        outcome = await handle.result()
        assert bank.bank.paid == [("alice", "600.00")]
    assert outcome.tool_calls[0].approved_by == ("ann",)


async def test_a_rejected_action_is_not_carried_out_and_the_model_is_told(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(LARGE)
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        await handle.signal("reject", {"approval_id": request.id, "by": "ann", "reason": "too much"})
        await handle.result()
        assert bank.bank.paid == []
    assert "rejected by ann: too much" in model.requests[-1].messages[-1].content  # type: ignore[union-attr]


async def test_two_different_people_must_approve_what_needs_two(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        first = await bank.agents.approve(handle.id, request.id, by="ann")
        assert (first.status, first.people_needed) == ("pending", 1)
        with pytest.raises(DecisionRefusedError, match="another person"):
            await bank.agents.approve(handle.id, request.id, by=" ANN ")
        await bank.agents.approve(handle.id, request.id, by="bob")
        outcome = await handle.result()
    assert outcome.tool_calls[0].approved_by == ("ann", "bob")


async def test_whoever_asked_for_the_run_may_not_approve(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        with pytest.raises(DecisionRefusedError, match="may not approve"):
            await bank.agents.approve(handle.id, request.id, by="rita")
        assert bank.bank.paid == []
        await bank.agents.reject(handle.id, request.id, by="rita")
        await handle.result()


@pytest.mark.parametrize(
    ("payloads", "said"),
    [
        ([], "0 payloads"),
        (
            [{"approval_id": "approval-1", "by": "ann"}, {"approval_id": "approval-1", "by": "bob"}],
            "2 payloads",
        ),
        (["approval-1"], "malformed"),
        ([{"by": "ann"}], "approval_id"),
        ([{"approval_id": "approval-1", "by": "ann", "extra": 1}], "extra"),
        ([{"approval_id": "approval-1", "by": ""}], "by"),
        ([{"approval_id": "approval-9", "by": "ann"}], "no approval approval-9"),
        ([{"approval_id": "approval-1", "by": "ann", "arguments_hash": "f" * 64}], "other arguments"),
        ([{"approval_id": "approval-1", "by": "ann", "verdict": "reject"}], "says reject"),
        ([{"approval_id": "approval-1", "by": "ann", "reason": "x" * 70_000}], "limit"),
        ([RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{not json"))], "malformed"),
        ([RawValue(Payload(metadata={"encoding": b"binary/unheard-of"}, data=b"\xff\x00"))], "malformed"),
    ],
)
async def test_a_malformed_or_unknown_approval_is_recorded_as_refused_and_has_no_effect(
    temporal: WorkflowEnvironment, tmp_path: Path, payloads: list[object], said: str
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.pending(handle)
        await handle.signal("approve", args=payloads)
        assert any(said in refusal for refusal in await bank.refusals(handle))
        assert len(await bank.agents.pending_approvals(handle.id)) == 1
        assert bank.bank.paid == []
        await handle.signal("approve", {"approval_id": "approval-1", "by": "ann"})
        assert (await handle.result()).status == "completed"


@pytest.mark.parametrize("tier", ["dev", "staging"])
async def test_an_approval_says_in_which_tier_it_would_act(
    temporal: WorkflowEnvironment, tmp_path: Path, tier: str
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, tier=tier) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        assert request.tier == tier
        await bank.agents.reject(handle.id, request.id, by="ann")
        await handle.result()


async def test_a_repeated_approval_is_recorded_as_refused(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        decision = {"approval_id": request.id, "by": "ann"}
        await handle.signal("approve", decision)
        await handle.signal("approve", {**decision, "by": "bob"})
        await handle.result()
        assert bank.bank.paid == [("alice", "600.00")]
        assert any("approved already" in refusal for refusal in await bank.refusals(handle))


async def test_an_approval_before_there_is_anything_to_approve_does_not_count(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.client.start_workflow(
            "Banker",
            {"input": "hello", "requested_by": "rita"},
            id=f"early-{tmp_path.name}",
            task_queue=bank.task_queue,
            start_signal="approve",
            start_signal_args=[{"approval_id": "approval-1", "by": "ann"}],
        )
        await bank.pending(handle)
        assert any("no approval" in refusal for refusal in await bank.refusals(handle))
        await handle.terminate()


async def test_an_unknown_signal_is_recorded(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.pending(handle)
        await handle.signal("aprove", {"approval_id": "approval-1", "by": "ann"})
        assert any("unknown signal 'aprove'" in refusal for refusal in await bank.refusals(handle))
        await handle.terminate()


async def test_a_refused_update_is_recorded_too(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.pending(handle)
        with pytest.raises(DecisionRefusedError):
            await bank.agents.approve(handle.id, "approval-7", by="ann")
        assert any("no approval approval-7" in refusal for refusal in await bank.refusals(handle))
        await handle.terminate()


async def test_an_update_without_a_verdict_is_refused_and_recorded(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        with pytest.raises(DecisionRefusedError, match="must be approve or reject"):
            await bank.agents.decide(handle.id, ApprovalDecision(approval_id=request.id, by="ann"))
        assert any("must be approve or reject" in refusal for refusal in await bank.refusals(handle))
        await handle.terminate()


async def test_a_model_that_is_not_proven_has_every_write_asked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="1.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(UnprovenBanker)
        request = await bank.pending(handle)
        assert request.rule == "unproven_model"
        await bank.agents.approve(handle.id, request.id, by="ann")
        assert (await handle.result()).status == "completed"


async def test_in_production_no_agent_is_served_whose_rules_would_never_match_there(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"rule small, rule large.* name no tiers"):
        async with serving(temporal, ScriptedModel([]), tmp_path, tier="production", approvers="trusted"):
            pass


async def test_the_details_show_the_exact_arguments_and_a_command_that_works(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        metadata = await handle.query("__temporal_workflow_metadata")
        assert '"amount": "600.00"' in metadata.current_details
        assert request.arguments_hash in metadata.current_details
        assert (
            f"temporal workflow signal --workflow-id {handle.id} --name approve" in metadata.current_details
        )
        await handle.terminate()
