"""Signed decisions in runs: through every door, over continue-as-new, and with keys that come and go."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import Resolution
from agentflow.adapters.jwks_file import JwksFile, add_key, revoke_key
from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.identity import ApproverKey
from agentflow.errors import ConfigurationError, DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import Harness, chain, eventually, replayed, serving
from tests.workflow.verifying_agents import Directory, OwnVerifier

ANN = Signer.generate("ann", ("finance",))
BOB = Signer.generate("bob", ("finance",))
CY = Signer.generate("cy", ("finance",))
DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]


class Keys:
    """A source of keys that a test changes."""

    def __init__(self, *signers: Signer) -> None:
        self.listed: Sequence[ApproverKey] = [signer.public() for signer in signers]

    async def keys(self) -> tuple[ApproverKey, ...]:
        return tuple(self.listed)


def revocation(signer: Signer) -> dict[str, str]:
    return {"kid": signer.kid, "by": "security", "reason": "lost laptop"}


async def consented(bank: Harness, handle: WorkflowHandle[Any, Any], *names: str) -> ApprovalRequest:
    """The pending approval, as soon as exactly these have agreed to it."""

    async def look() -> ApprovalRequest | None:
        request = await bank.pending(handle)
        return request if request.approved_by == names else None

    return await eventually(look)


async def test_a_signed_decision_counts_through_the_signal_too_and_the_run_replays(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        await handle.signal("approve", {"approval_id": request.id, "by": "ann"})
        signed = ANN.decision(request, "approve", reason="checked")
        # What a person pastes into the Web UI.
        await handle.signal("approve", json.loads(signed.model_dump_json()))
        outcome = await handle.result()
        assert bank.bank.paid == [("alice", "600.00")]
        assert await bank.refusals(handle) != []
        await replayed(await handle.fetch_history())
    assert outcome.tool_calls[0].approved_by == ("ann",)


async def test_a_signed_rejection_can_not_be_sent_as_an_approval(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        signed = ANN.decision(await bank.pending(handle), "reject").model_dump(mode="json")
        await handle.signal("approve", {**signed, "verdict": None})
        await handle.signal("reject", signed)
        await handle.result()
        assert bank.bank.paid == []
        assert any("for another verdict: 'reject'" in detail for detail in await bank.refusals(handle))


async def test_a_signature_for_one_run_says_nothing_of_another_like_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    script = [LARGE[0], LARGE[0], DONE]
    async with serving(temporal, ScriptedModel(script), tmp_path, approvers=Keys(ANN)) as bank:
        one, other = await bank.start(Banker), await bank.start(Banker)
        first, second = await bank.pending(one), await bank.pending(other)
        assert (first.id, first.arguments_hash) == (second.id, second.arguments_hash)
        with pytest.raises(DecisionRefusedError, match="for another run"):
            await bank.agents.decide(other.id, ANN.decision(first, "approve"))
        await other.cancel()
        await one.cancel()
        await other.result()


@pytest.mark.parametrize("door", ["signal", "update"])
async def test_a_rejection_that_its_signer_thought_better_of_does_not_count(
    temporal: WorkflowEnvironment, tmp_path: Path, door: str
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=Keys(ANN, BOB)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        now = datetime.now(UTC)
        before = ANN.decision(request, "reject", now=now - timedelta(minutes=5))
        await bank.agents.decide(handle.id, ANN.decision(request, "approve", now=now))
        if door == "signal":
            await handle.signal("reject", before.model_dump(mode="json"))
        else:
            with pytest.raises(DecisionRefusedError, match="ann signed otherwise at"):
                await bank.agents.decide(handle.id, before)
        waiting = await consented(bank, handle, "ann")
        assert "ann signed otherwise at" in waiting.refused[-1].reason
        await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        await handle.result()
        assert bank.bank.paid == [("alice", "2000.00")]
        await replayed(await handle.fetch_history())


async def test_an_unsigned_rejection_does_not_count_either(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        with pytest.raises(DecisionRefusedError, match="has no token"):
            await bank.agents.reject(handle.id, request.id, by="ann")
        await bank.agents.decide(handle.id, ANN.decision(request, "reject"))
        await handle.result()


async def test_a_key_that_is_revoked_takes_its_consents_along_and_decides_no_more(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=Keys(ANN, BOB)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        before = ANN.decision(request, "approve")
        await bank.agents.decide(handle.id, before)
        await handle.signal("revoke", revocation(ANN))
        await consented(bank, handle)
        with pytest.raises(DecisionRefusedError, match="is revoked"):
            await bank.agents.decide(handle.id, before)
        receipt = await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        assert (receipt.status, receipt.people_needed) == ("pending", 1)
        a_second_later = datetime.now(UTC) + timedelta(seconds=1)
        await bank.agents.decide(handle.id, BOB.decision(request, "reject", now=a_second_later))
        await handle.result()
        assert bank.bank.paid == []
        log = [r for r in await bank.agents.decisions(handle.id) if r.subject == "revocation"]
        await replayed(await handle.fetch_history())
    assert [(r.accepted, r.by) for r in log] == [(True, "security"), (True, None)]
    assert "lost laptop" in log[0].detail
    assert log[1].detail == f"no longer counts: ann ({request.id})"


@pytest.mark.parametrize("payload", [{}, {"kid": "", "by": "x"}, {"kid": "k"}, [1], "nonsense"])
async def test_a_malformed_revocation_is_recorded_and_changes_nothing(
    temporal: WorkflowEnvironment, tmp_path: Path, payload: Any
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        await handle.signal("revoke", payload)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        await handle.result()
        assert bank.bank.paid == [("alice", "600.00")]
        assert any("revoke: malformed" in detail for detail in await bank.refusals(handle))


async def test_an_escalation_is_answered_by_who_signs_the_answer(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([answer("?"), answer("?"), DONE])
    async with serving(temporal, model, tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        escalation = await bank.escalation(handle)
        guide = Resolution(action="guide", by="ann", text="say ten dollars")
        await bank.agents.resolve(handle.id, guide)
        other = ANN.resolution(escalation, guide).model_copy(update={"text": "pay bob"})
        await bank.agents.resolve(handle.id, other)
        await bank.agents.resolve(handle.id, ANN.resolution(escalation, guide))
        assert (await handle.result()).status == "completed"
        unsigned, other = await bank.refusals(handle)
        assert "has no token" in unsigned
        assert "for another answer" in other
    assert "say ten dollars" in str(model.requests[-1].messages)
    assert "pay bob" not in str(model.requests[-1].messages)


async def test_a_verifier_of_the_users_own_that_raises_verifies_nobody(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, workflows=[OwnVerifier]) as bank:
        handle = await bank.start(OwnVerifier)
        request = await bank.pending(handle)
        assert request.identity == Directory.method
        with pytest.raises(DecisionRefusedError, match="KeyError"):
            await bank.agents.approve(handle.id, request.id, by="nobody")
        await bank.agents.approve(handle.id, request.id, by="ann")
        await handle.result()


async def test_a_worker_in_production_must_say_whose_decisions_count(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="whose decisions count"):
        async with serving(temporal, ScriptedModel([]), tmp_path, tier="production"):
            pass


async def test_a_worker_does_not_start_without_the_keys_it_was_told_of(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    plugin = scripted_plugin(
        ScriptedModel([]), directory=tmp_path, approvers=JwksFile(tmp_path / "none.json")
    )
    client = await temporal.connect_client(plugins=[plugin])
    with pytest.raises(ConfigurationError, match="can't be read"):
        await Worker(client, task_queue="signed", workflows=[Banker]).run()


async def test_a_file_is_read_anew_for_each_run_and_for_each_write(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    path = tmp_path / "approvers.json"
    add_key(path, ANN.public())
    async with serving(temporal, ScriptedModel([*LARGE, *LARGE]), tmp_path, approvers=JwksFile(path)) as bank:
        first = await bank.start(Banker)
        before = await bank.pending(first)
        revoke_key(path, ANN.kid, before.deadline - timedelta(days=365))
        add_key(path, BOB.public())
        # The run that is at work knows the keys that it began with, until it is told; its write asks again.
        await bank.agents.decide(first.id, ANN.decision(before, "approve"))
        assert f"the key {ANN.kid} is revoked" in (await bank.escalation(first)).reason
        assert bank.bank.paid == []
        await first.terminate()
        second = await bank.start(Banker)
        request = await bank.pending(second)
        with pytest.raises(DecisionRefusedError, match="is revoked"):
            await bank.agents.decide(second.id, ANN.decision(request, "approve"))
        await bank.agents.decide(second.id, BOB.decision(request, "approve"))
        await second.result()


async def filled(bank: Harness, handle: WorkflowHandle[Any, Any], request: ApprovalRequest) -> None:
    """Send so many refused decisions that the run continues as new while it waits."""
    stray = {"approval_id": request.id, "by": "stranger", "reason": "x" * 1_500}
    for _ in range(12):
        await handle.signal("approve", stray)

    async def look() -> bool | None:
        return True if len(await chain(handle)) > 1 else None

    await eventually(look)


async def test_keys_that_are_gone_when_a_run_continues_take_their_consents_along(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    source = Keys(ANN, BOB)
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=source) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        source.listed = [BOB.public(), CY.public()]
        await filled(bank, handle, request)
        request = await consented(bank, handle)
        with pytest.raises(DecisionRefusedError, match="is unknown"):
            await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        # The newcomer's counts, for the same run and the same action.
        await bank.agents.decide(handle.id, CY.decision(request, "approve"))
        await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        outcome = await handle.result()
        for history in await chain(handle):
            await replayed(history)
    assert outcome.tool_calls[0].approved_by == ("cy", "bob")


async def test_consents_and_revocations_go_along_when_a_run_continues(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=Keys(ANN, BOB, CY)) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        await handle.signal("revoke", revocation(BOB))
        await filled(bank, handle, request)
        with pytest.raises(DecisionRefusedError, match="is revoked"):
            await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        await handle.signal("revoke", revocation(ANN))
        await consented(bank, handle)
        await bank.agents.decide(handle.id, CY.decision(request, "reject"))
        await handle.result()
        assert bank.bank.paid == []


async def test_a_run_that_wants_signed_decisions_wants_them_from_a_worker_that_does_not_too(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(
        temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN), queue="changing"
    ) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        for _ in range(12):
            await handle.signal(
                "approve", {"approval_id": "approval-9", "by": "x" * 200, "reason": "x" * 1_500}
            )
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, queue="changing") as bank:

        async def has_continued() -> bool | None:
            return True if len(await chain(handle)) > 1 else None

        await eventually(has_continued)
        with pytest.raises(DecisionRefusedError, match="has no token"):
            await bank.agents.approve(handle.id, request.id, by="ann")
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        # Nor does that worker carry out what it can't judge itself.
        reason = (await bank.escalation(handle)).reason
        assert "the run's approvers are signed, and this worker's trusted" in reason
        assert bank.bank.paid == []
        await handle.terminate()
