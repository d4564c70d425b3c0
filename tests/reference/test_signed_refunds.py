"""The refund agent where decisions are signed: two approvers with keys, and what others try meanwhile."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.payments import Payments
from activities.shop import ShopDatabase
from activities.shop_seed import seed
from agentflow.adapters.jwks_file import JwksFile, add_key
from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalDecision
from agentflow.core.idempotency import arguments_hash
from agentflow.errors import DecisionRefusedError
from tests.reference.desk import WANTS_REFUND, Desk, desk, refunding

ANN = Signer.generate("ann@example.com", ("support",))
BOB = Signer.generate("bob@example.com", ("support",), "ES256")
IMPOSTOR = Signer.generate("bob@example.com", ("support",), "ES256", kid=BOB.kid)
STRANGER = Signer.generate("mallory@example.com", ("support",))


@pytest.fixture
def approvers(tmp_path: Path) -> JwksFile:
    path = tmp_path / "approvers.json"
    for signer in (ANN, BOB):
        add_key(path, signer.public())
    return JwksFile(path)


def edited(decision: ApprovalDecision, **claims: object) -> ApprovalDecision:
    """The decision with other claims under the old signature."""
    header, payload, signature = str(decision.token).split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    again = base64.urlsafe_b64encode(json.dumps({**said, **claims}).encode()).rstrip(b"=").decode()
    return decision.model_copy(update={"token": f"{header}.{again}.{signature}"})


async def refused(support: Desk, workflow_id: str, decision: ApprovalDecision, why: str) -> None:
    with pytest.raises(DecisionRefusedError, match=why):
        await support.client.decide(workflow_id, decision)


async def test_two_people_with_keys_allow_a_refund_and_nobody_else_comes_near_it(
    temporal: WorkflowEnvironment,
    payments: Payments,
    shop: ShopDatabase,
    tmp_path: Path,
    approvers: JwksFile,
) -> None:
    assert await seed(shop, payments)
    script = [WANTS_REFUND, refunding({"ORD-1007": "1299.00"})]
    settings = {"tier": "production", "approvers": approvers}
    async with desk(temporal, payments, shop, tmp_path, script, **settings) as support:
        before = await support.refunds()
        handle = await support.start("T-005")
        request = await support.pending(handle)
        assert (request.identity, request.quorum.people) == ("signed", 2)
        yes = BOB.decision(request, "approve")

        await refused(support, handle.id, IMPOSTOR.decision(request, "approve"), "not by the key")
        await refused(support, handle.id, STRANGER.decision(request, "approve"), "is unknown")
        more = {**request.arguments, "amount_usd": "12990.00"}
        inflated = request.model_copy(
            update={"arguments": more, "arguments_hash": arguments_hash(request.tool, more)}
        )
        await refused(support, handle.id, BOB.decision(inflated, "approve"), "other arguments")
        await refused(
            support, handle.id, edited(yes, arguments_hash=inflated.arguments_hash), "not by the key"
        )
        late = BOB.decision(request, "approve", now=datetime.now(UTC) - timedelta(hours=1))
        await refused(support, handle.id, late, "expired")
        plain = ApprovalDecision(approval_id=request.id, by="bob@example.com", verdict="approve")
        await refused(support, handle.id, plain, "has no token")
        assert await support.refunds() == before

        await support.client.decide(handle.id, ANN.decision(request, "approve"))
        await refused(support, handle.id, ANN.decision(request, "approve"), "another person")
        seen = await support.pending(handle)
        assert seen.approved_by == ("ann@example.com",)
        assert seen.refusals == 7
        assert "not by the key" in seen.refused[0].reason

        await support.client.decide(handle.id, yes)
        outcome = await handle.result()
        made = [refund for refund in await support.refunds() if refund not in before]
        assert [str(refund.amount_usd) for refund in made] == ["1299.00"]
        log = [r.detail for r in await support.client.decisions(handle.id) if r.subject == "approval"]
    assert outcome.status == "completed"
    assert outcome.tool_calls[1].approved_by == ("ann@example.com", "bob@example.com")
    assert sum("signed identity" in detail for detail in log) == 2
