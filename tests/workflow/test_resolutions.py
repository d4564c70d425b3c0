"""Who may answer an escalation: by the same identity, role and requester rules as an approval, and as many."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import Resolution
from agentflow.adapters.signer import Signer
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.rules import DecisionRecord
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.deciding_agents import Wirer
from tests.workflow.harness import Harness, eventually, replayed, serving
from tests.workflow.test_signed import Keys, revocation

ANN = Signer.generate("ann", ("finance",))
BOB = Signer.generate("bob", ("finance",))
CY = Signer.generate("cy", ("support",))
RITA = Signer.generate("rita", ("finance",))
ALL = (ANN, BOB, CY, RITA)
DONE = answer({"account": "alice", "amount": "10.00"})
WIRE = [call("wire", account="bob", amount="9.00"), DONE]
NOT = Resolution(action="did_not_happen", by="?", text="not on the statement")
HAPPENED = Resolution(action="happened", by="?", text="it is there", result="wired 9.00")


async def records(bank: Harness, handle: WorkflowHandle[Any, Any], count: int) -> list[DecisionRecord]:
    """What is on record of answers, as soon as there are so many."""

    async def look() -> list[DecisionRecord] | None:
        log = [r for r in await bank.agents.decisions(handle.id) if r.subject == "resolution"]
        return log if len(log) >= count else None

    return await eventually(look)


async def in_doubt(
    bank: Harness, keys: tuple[Signer, ...] = ()
) -> tuple[WorkflowHandle[Any, Any], Escalation]:
    """A wire that two people of finance have approved, and that may have happened."""
    handle = await bank.start(Wirer)
    request = await bank.pending(handle)
    for name in ("ann", "bob"):
        signer = next((one for one in keys if one.subject == name), None)
        if signer is None:
            await bank.agents.approve(handle.id, request.id, by=name, roles=("finance",))
        else:
            await bank.agents.decide(handle.id, signer.decision(request, "approve"))
    return handle, await bank.escalation(handle)


def stated(word: Resolution, by: str, *roles: str) -> Resolution:
    return word.model_copy(update={"by": by, "roles": roles})


async def test_whoever_asked_for_the_run_does_not_say_what_became_of_its_payment(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = SQLiteLedger(tmp_path / "effects.sqlite")
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        for name in ("rita", "RITA", " rita ", "\uff52\uff49\uff54\uff41"):
            await bank.agents.resolve(handle.id, stated(NOT, name))
            await bank.agents.resolve(handle.id, stated(HAPPENED, name))
        log = await records(bank, handle, 8)
        assert {r.accepted for r in log} == {False}
        assert all("rita asked for this run and may only abort it" in r.detail for r in log)
        escalation = await bank.escalation(handle)
        assert (escalation.refusals, len(escalation.refused)) == (8, 8)
        await bank.agents.resolve(handle.id, stated(Resolution(action="abort", by="?"), "rita"))
        assert (await handle.result()).status == "escalated"
        (found,) = (await ledger.find(EffectQuery())).effects
    assert (found.record.state, found.record.closed_by) == ("unknown", "rita")


@pytest.mark.parametrize("action", ["guide", "answer"])
async def test_whoever_asked_for_the_run_gives_it_no_guidance_and_no_answer(
    temporal: WorkflowEnvironment, tmp_path: Path, action: Any
) -> None:
    model = ScriptedModel([answer("?"), answer("?"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        word = Resolution(action=action, by="rita", text="pay eve", answer={"account": "e", "amount": "1"})
        await bank.agents.resolve(handle.id, word)
        (refused,) = await records(bank, handle, 1)
        assert "may only abort it" in refused.detail
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="ten dollars"))
        assert (await handle.result()).status == "completed"


async def test_a_write_that_two_people_approved_needs_two_people_to_say_what_became_of_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = SQLiteLedger(tmp_path / "effects.sqlite")
    model = ScriptedModel(WIRE)
    async with serving(temporal, model, tmp_path, workflows=[Wirer], ledger=ledger) as bank:
        handle, escalation = await in_doubt(bank)
        assert (escalation.quorum.people, escalation.quorum.roles) == (2, ("finance",))
        said = [
            stated(NOT, "eve", "support"),  # not in the role
            stated(NOT, "ann", "finance"),
            stated(NOT, "ANN", "finance"),  # the same person
            stated(HAPPENED, "bob", "finance"),  # says otherwise
            stated(NOT, "cy", "finance"),  # bob has not agreed
        ]
        for word in said:
            await bank.agents.resolve(handle.id, word)
        log = await records(bank, handle, len(said))
        assert [r.accepted for r in log] == [False, True, False, True, True]
        shown = await bank.escalation(handle)
        assert [(w.consent.by, w.action) for w in shown.words] == [
            ("ann", "did_not_happen"),
            ("bob", "happened"),
            ("cy", "did_not_happen"),
        ]
        await bank.agents.resolve(handle.id, stated(NOT.model_copy(update={"text": "no"}), "bob", "finance"))
        outcome = await handle.result()
        await replayed(await handle.fetch_history(), Wirer)
        (found,) = (await ledger.find(EffectQuery())).effects
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "failed")
    assert (found.record.state, found.record.closed_by) == ("failed", "ann and cy and bob")


async def test_what_people_write_of_a_payment_counts_as_the_word_of_each_alone(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, workflows=[Wirer]) as bank:
        handle, _ = await in_doubt(bank)
        for name in ("ann", "bob"):
            await bank.agents.resolve(handle.id, stated(HAPPENED, name, "finance"))
        outcome = await handle.result()
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "done")


async def test_answers_are_signed_where_decisions_are_and_by_as_many_keys(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys = Keys(*ALL)
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, workflows=[Wirer], approvers=keys) as bank:
        handle, escalation = await in_doubt(bank, ALL)

        def signed(signer: Signer, word: Resolution = NOT, **how: Any) -> Resolution:
            return signer.resolution(escalation, stated(word, signer.subject), **how)

        from_ann = ANN.delegation("cy", ("finance",), timedelta(hours=1))
        said = [
            (stated(NOT, "ann", "finance"), "has no token"),
            (signed(CY), "none of the roles finance"),
            (signed(RITA), "may only abort it"),
            (signed(ANN).model_copy(update={"text": "else"}), "another answer"),
            (signed(ANN), ""),
            (signed(CY, delegation=from_ann), "another person is needed"),
        ]
        for word, _ in said:
            await bank.agents.resolve(handle.id, word)
        log = await records(bank, handle, len(said))
        for record, (_, why) in zip(log, said, strict=True):
            assert record.accepted == (not why)
            assert why in record.detail
        await handle.signal("revoke", revocation(ANN))
        await bank.agents.resolve(handle.id, signed(BOB))
        await records(bank, handle, len(said) + 1)
        shown = await bank.escalation(handle)
        assert [word.consent.by for word in shown.words] == ["bob"]
        await bank.agents.resolve(handle.id, signed(BOB, Resolution(action="abort", by="?")))
        assert (await handle.result()).status == "escalated"
        await replayed(await handle.fetch_history(), Wirer)


async def test_an_answer_and_the_revocation_of_its_key_that_arrive_in_one_workflow_task_do_not_count(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys, queue = Keys(*ALL), f"answers-{tmp_path.name}"
    model = ScriptedModel([answer("?"), answer("?"), DONE])
    async with serving(temporal, model, tmp_path, approvers=keys, queue=queue) as bank:
        handle = await bank.start(Banker)
        escalation = await bank.escalation(handle)
    guide = ANN.resolution(escalation, Resolution(action="guide", by="ann", text="pay eve"))
    await handle.signal("resolve", guide.model_dump(mode="json"))
    await handle.signal("revoke", revocation(ANN))
    async with serving(temporal, model, tmp_path, approvers=keys, queue=queue) as bank:
        await records(bank, handle, 1)
        assert (await bank.escalation(handle)).words == ()
        honest = BOB.resolution(escalation, Resolution(action="guide", by="bob", text="ten dollars"))
        await bank.agents.resolve(handle.id, honest)
        assert (await handle.result()).status == "completed"
    assert "pay eve" not in str(model.requests[-1].messages)
