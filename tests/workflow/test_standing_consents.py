"""Consents that no longer count when the run acts on them, or goes on: nothing rests on them any more."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.signer import Signer, delegation_id
from agentflow.errors import DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.deciding_agents import LongWirer
from tests.workflow.harness import ALL_AGENTS, chain, eventually, replayed, serving
from tests.workflow.test_signed import Keys, consented, filled

ANN = Signer.generate("ann", ("finance",))
BOB = Signer.generate("bob", ("finance",))
CY = Signer.generate("cy", ("support",))
DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]
WIRE = [call("wire", account="bob", amount="9.00"), DONE]
AGENTS = [*ALL_AGENTS, LongWirer]


def revoked(signer: Signer) -> dict[str, str]:
    return {"kid": signer.kid, "by": "security"}


@pytest.mark.parametrize("what", ["the key", "the delegation", "the giver's key"])
async def test_an_approval_and_a_revocation_that_arrive_in_one_workflow_task_do_not_pay(
    temporal: WorkflowEnvironment, tmp_path: Path, what: str
) -> None:
    keys = Keys(ANN, BOB)
    queue = f"one-task-{tmp_path.name}"
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=keys, queue=queue) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
    # Nobody is there to hear of either.
    token = ANN.delegation("bob", ("finance",), timedelta(hours=1))
    delegation = token if what != "the key" else None
    decision = BOB.decision(request, "approve", delegation=delegation)
    await handle.signal("approve", decision.model_dump(mode="json"))
    gone = {"the key": revoked(BOB), "the giver's key": revoked(ANN)}
    of_delegation = {"delegation": delegation_id(token), "by": "ann"}
    await handle.signal("revoke", gone.get(what, of_delegation))
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=keys, queue=queue) as bank:
        await consented(bank, handle)
        assert bank.bank.paid == []
        log = [r.detail for r in await bank.agents.decisions(handle.id) if r.subject == "revocation"]
        assert any("no longer counts: bob" in detail for detail in log)
        left = ANN if what == "the key" else BOB
        a_second_later = datetime.now(UTC) + timedelta(seconds=1)
        await bank.agents.decide(handle.id, left.decision(request, "reject", now=a_second_later))
        await handle.result()
        assert bank.bank.paid == []
        await replayed(await handle.fetch_history())


async def test_a_delegation_is_revoked_alone_and_both_keys_go_on_to_count(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN, CY)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        token = ANN.delegation("cy", ("finance",), timedelta(hours=1))
        await handle.signal("revoke", {"delegation": delegation_id(token), "by": "ann"})
        with pytest.raises(DecisionRefusedError, match=r"the delegation .* is revoked"):
            await bank.agents.decide(handle.id, CY.decision(request, "approve", delegation=token))
        again = ANN.delegation("cy", ("finance",), timedelta(hours=1))
        await bank.agents.decide(handle.id, CY.decision(request, "approve", delegation=again))
        outcome = await handle.result()
        assert bank.bank.paid == [("alice", "600.00")]
    assert outcome.tool_calls[0].approved_by == ("cy for ann",)


@pytest.mark.parametrize(
    "payload", [{"by": "x"}, {"kid": "k", "delegation": "d", "by": "x"}, {"kid": None, "by": "x"}]
)
async def test_a_revocation_of_nothing_or_of_two_things_is_recorded_as_malformed(
    temporal: WorkflowEnvironment, tmp_path: Path, payload: dict[str, Any]
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        await bank.pending(handle)
        await handle.signal("revoke", payload)
        assert any("revoke: malformed" in why for why in await bank.refusals(handle))
        await handle.terminate()


async def test_a_consent_whose_key_has_expired_meanwhile_does_not_make_a_quorum(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys = Keys(BOB, CY)
    expires = datetime.now(UTC) + timedelta(seconds=3)
    keys.listed = [*keys.listed, ANN.public(expires=expires)]
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=keys) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        await asyncio.sleep(max((expires - datetime.now(UTC)).total_seconds(), 0) + 0.2)
        receipt = await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        assert (receipt.status, receipt.people_needed) == ("pending", 1)
        await bank.agents.decide(handle.id, CY.decision(request, "approve"))
        outcome = await handle.result()
        await replayed(await handle.fetch_history())
    assert outcome.tool_calls[0].approved_by == ("bob", "cy")


@pytest.mark.parametrize(
    "changes",
    [
        {"roles": ()},
        {"roles": ("support",)},
        {"subjects": ("eve",)},
        {"expires": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
    ids=["no roles", "another role", "other subjects", "expired"],
)
async def test_a_key_that_loses_its_roles_subjects_or_time_loses_its_consents_when_the_run_continues(
    temporal: WorkflowEnvironment, tmp_path: Path, changes: dict[str, Any]
) -> None:
    source = Keys(ANN, BOB)
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, approvers=source, workflows=AGENTS) as bank:
        handle = await bank.start(LongWirer)
        request = await bank.pending(handle)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        source.listed = [ANN.public().model_copy(update=changes), BOB.public()]
        await filled(bank, handle, request)
        request = await consented(bank, handle)
        receipt = await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        assert (receipt.status, receipt.people_needed) == ("pending", 1)
        a_second_later = datetime.now(UTC) + timedelta(seconds=1)
        await bank.agents.decide(handle.id, BOB.decision(request, "reject", now=a_second_later))
        await handle.result()
        for history in await chain(handle):
            await replayed(history, *AGENTS)


async def test_a_delegation_that_is_revoked_stays_revoked_when_the_run_continues(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    token = ANN.delegation("cy", ("finance",), timedelta(hours=1))
    async with serving(
        temporal, ScriptedModel(WIRE), tmp_path, approvers=Keys(ANN, CY), workflows=AGENTS
    ) as bank:
        handle = await bank.start(LongWirer)
        request = await bank.pending(handle)
        await handle.signal("revoke", {"delegation": delegation_id(token), "by": "ann"})
        await filled(bank, handle, request)
        with pytest.raises(DecisionRefusedError, match="is revoked"):
            await bank.agents.decide(handle.id, CY.decision(request, "approve", delegation=token))
        await handle.terminate()


async def test_one_key_that_speaks_for_everybody_makes_no_quorum_of_two(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    desk = Signer.generate("desk", kid="desk-1")
    keys = Keys(BOB)
    keys.listed = [*keys.listed, desk.public().model_copy(update={"subjects": ("*@example.com",)})]
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=keys) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)

        def by_desk(who: str) -> Any:
            return bank.agents.decide(handle.id, desk.decision(request, "approve", subject=who, roles=()))

        await by_desk("ann@example.com")
        with pytest.raises(DecisionRefusedError, match="one that signs for several people counts once"):
            await by_desk("eve@example.com")
        assert bank.bank.paid == []
        await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        await handle.result()
        assert bank.bank.paid == [("alice", "2000.00")]


async def test_the_signature_of_a_run_counts_for_as_long_as_its_worker_says(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        long = ANN.decision(request, "approve", valid_for=timedelta(minutes=16))
        with pytest.raises(DecisionRefusedError, match="900 s at most"):
            await bank.agents.decide(handle.id, long)

        async def look() -> bool | None:
            (now,) = await bank.agents.pending_approvals(handle.id)
            return True if now.refusals else None

        await eventually(look)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        await handle.result()
