"""Each claim of a signed decision, spoiled in each way, through both doors of a run that waits to pay."""

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.contracts.identity import DECISION_TYPE
from agentflow.core.idempotency import arguments_hash
from agentflow.core.jws import payload_of
from agentflow.errors import DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.core.tokens import spoiled, token_of
from tests.workflow.agents import Banker
from tests.workflow.harness import eventually, replayed, serving
from tests.workflow.test_signed import Keys

ANN = Signer.generate("ann", ("finance",))
DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]


def claims_of(request: ApprovalRequest) -> dict[str, Any]:
    return json.loads(payload_of(str(ANN.decision(request, "approve").token)))


async def test_no_decision_with_a_claim_that_is_not_as_it_should_be_counts_through_any_door(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        payloads = dict(spoiled(claims_of(request)))
        del payloads["reason of another"]  # that is another reason, and it is signed
        for name, payload in payloads.items():
            token = token_of(ANN, DECISION_TYPE, payload)
            decision = ApprovalDecision(approval_id=request.id, by="ann", token=token, verdict="approve")
            with pytest.raises(DecisionRefusedError):
                await bank.agents.decide(handle.id, decision)
            bare = {"approval_id": request.id, "by": "ann", "token": token}
            await handle.signal("approve", bare)
            assert bank.bank.paid == [], name

        async def look() -> ApprovalRequest | None:
            (now,) = await bank.agents.pending_approvals(handle.id)
            return now if now.refusals >= 2 * len(payloads) else None

        shown = await eventually(look)
        assert (shown.refusals, shown.approved_by) == (2 * len(payloads), ())
        assert len(await bank.refusals(handle)) >= 2 * len(payloads)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        assert (await handle.result()).status == "completed"
        await replayed(await handle.fetch_history())


@pytest.mark.parametrize("door", ["signal", "update"])
async def test_a_token_over_one_amount_does_not_pay_another(
    temporal: WorkflowEnvironment, tmp_path: Path, door: str
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        small = {**request.arguments, "amount": "1.00"}
        shown = request.model_copy(
            update={"arguments": small, "arguments_hash": arguments_hash(request.tool, small)}
        )
        signed = ANN.decision(shown, "approve").model_copy(update={"arguments_hash": None})
        if door == "update":
            with pytest.raises(DecisionRefusedError, match="another arguments"):
                await bank.agents.decide(handle.id, signed)
        else:
            await handle.signal("approve", signed.model_dump(mode="json", exclude={"arguments_hash"}))
        (waiting,) = await bank.agents.pending_approvals(handle.id)
        assert bank.bank.paid == []
        assert "another arguments" in waiting.refused[-1].reason
        await handle.terminate()


@pytest.mark.parametrize("door", ["signal", "update"])
async def test_a_payload_that_says_a_thing_twice_does_not_count(
    temporal: WorkflowEnvironment, tmp_path: Path, door: str
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        text = f'{{"approval_id": "{request.id}", "verdict": "approve", "by": "rita", "by": "ann"}}'
        raw = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=text.encode()))
        if door == "signal":
            await handle.signal("approve", raw)
            assert any("'by' is there twice" in why for why in await bank.refusals(handle))
        else:
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update("decide", raw)
        assert bank.bank.paid == []
        await handle.terminate()
