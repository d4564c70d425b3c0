"""Floods of what anybody may send who may signal: the run goes on, and what was decided can be read."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.signer import Signer
from agentflow.errors import DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import chain, replayed, serving
from tests.workflow.test_signed import Keys

ANN = Signer.generate("ann", ("finance",))
BOB = Signer.generate("bob", ("finance",))
DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]
LONG = "x" * 1_950
FLOODS: dict[str, tuple[str, dict[str, Any]]] = {
    "decisions on nothing": ("approve", {"approval_id": LONG, "by": "eve"}),
    "unsigned decisions": ("approve", {"approval_id": "approval-1", "by": "eve" * 66, "reason": LONG}),
    "malformed signals": ("approve", {LONG: 1}),
    "keys that are revoked": ("revoke", {"kid": "\x00" * 190, "by": "eve", "reason": LONG}),
    "delegations that are revoked": ("revoke", {"delegation": "\x00" * 190, "by": "eve", "reason": LONG}),
    "freezes and their ends": ("unfreeze", {"scope": "fleet", "by": "eve", "reason": LONG}),
}


def numbered(payload: dict[str, Any], number: int) -> dict[str, Any]:
    """The payload, with another name in it where it names something."""
    return {
        field: f"{value}{number}" if field in ("kid", "delegation") else value
        for field, value in payload.items()
    }


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_no_run_and_hides_nothing_that_was_decided(
    temporal: WorkflowEnvironment, tmp_path: Path, flood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, payload = FLOODS[flood]
    # A small log is full soon.
    monkeypatch.setattr("agentflow.core.record.MAX_BYTES", 50_000)
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=Keys(ANN, BOB)) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        for burst in range(4):
            await asyncio.gather(*(handle.signal(name, numbered(payload, 50 * burst + n)) for n in range(50)))
        log = await bank.agents.decisions(handle.id)
        await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        outcome = await asyncio.wait_for(handle.result(), 30)
        assert bank.bank.paid == [("alice", "2000.00")], outcome
        executions = await chain(handle)
        await replayed(executions[-1])
    assert len(executions) > 1
    assert any(line.accepted and line.by == "ann" for line in log)
    assert any("lines are left out" in line.detail for line in log)


async def test_what_strangers_sent_and_what_a_run_knows_are_one_payload(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tools' own limits would have to fit such a small payload too.
    monkeypatch.setattr("agentflow.plugin.check_sizes", lambda *_: None)
    # So small that the log alone is too long for it.
    settings: dict[str, Any] = {"approvers": Keys(ANN), "max_payload_bytes": 100_000}
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, **settings) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        for number in range(300):
            await handle.signal("approve", {"approval_id": f"{number}{LONG}", "by": "eve"})
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        outcome = await asyncio.wait_for(handle.result(), 30)
        assert bank.bank.paid == [("alice", "600.00")], outcome


async def test_a_flood_of_refused_decisions_does_not_break_the_query_of_decisions(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        stray = {"approval_id": LONG, "by": "eve"}
        for _ in range(21):
            await asyncio.gather(*(handle.signal("approve", stray) for _ in range(50)))
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        await handle.result()
        log = await bank.agents.decisions(handle.id)
    assert any(line.by == "ann" and line.accepted for line in log)


async def test_a_key_that_counts_is_revoked_however_many_were_that_the_run_does_not_know(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN, BOB)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        unknown = [{"kid": f"{number}{'k' * 190}", "by": "eve"} for number in range(200)]
        # In one workflow task so many would be a crowd, and not each on record.
        for first in range(0, len(unknown), 50):
            await asyncio.gather(*(handle.signal("revoke", one) for one in unknown[first : first + 50]))
            await bank.agents.status(handle.id)
        await handle.signal("revoke", {"kid": ANN.kid, "by": "security"})
        with pytest.raises(DecisionRefusedError, match="is revoked"):
            await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        assert any(
            "takes no more of those that it does not know" in why for why in await bank.refusals(handle)
        )
        await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        await handle.result()


async def test_where_more_delegations_are_revoked_than_a_run_remembers_none_counts(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    from_ann, many = ANN.delegation("bob", ("finance",), timedelta(hours=1)), range(200)
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN, BOB)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        unknown = [{"delegation": f"{number}{'d' * 190}", "by": "eve"} for number in many]
        await asyncio.gather(*(handle.signal("revoke", one) for one in unknown))
        with pytest.raises(DecisionRefusedError, match=r"the delegation .* is revoked"):
            await bank.agents.decide(handle.id, BOB.decision(request, "approve", delegation=from_ann))
        await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        await handle.result()
