"""Who may answer an escalation: by the same identity, role and requester rules as an approval, and as many."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, Resolution
from agentflow.adapters.signer import Signer
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.rules import DecisionRecord
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.deciding_agents import Wirer
from tests.workflow.harness import Harness, eventually, replayed, serving
from tests.workflow.outside_doors import reset_to
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
        a_second_later = datetime.now(UTC) + timedelta(seconds=1)
        await bank.agents.resolve(
            handle.id, signed(BOB, Resolution(action="abort", by="?"), now=a_second_later)
        )
        assert (await handle.result()).status == "escalated"
        await replayed(await handle.fetch_history(), Wirer)


async def test_a_signed_answer_that_is_sent_again_does_not_take_the_place_of_a_newer_one(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys, minute = Keys(*ALL), timedelta(minutes=1)
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, workflows=[Wirer], approvers=keys) as bank:
        handle, escalation = await in_doubt(bank, ALL)
        now = datetime.now(UTC)
        words = [
            (ANN, HAPPENED, 5, True),
            (ANN, NOT, 3, True),  # she has looked again
            (ANN, HAPPENED, 5, False),  # and whoever saw the first sends it again
            (ANN, Resolution(action="abort", by="?"), 4, False),
            (BOB, HAPPENED, 2, True),
        ]
        for signer, word, minutes, _ in words:
            said = stated(word, signer.subject)
            signed = signer.resolution(escalation, said, now=now - minutes * minute)
            await bank.agents.resolve(handle.id, signed)
        log = await records(bank, handle, len(words))
        assert [record.accepted for record in log] == [counts for *_, counts in words]
        assert "ann signed otherwise at" in log[2].detail
        shown = await bank.escalation(handle)
        assert [(w.consent.by, w.action) for w in shown.words] == [
            ("ann", "did_not_happen"),
            ("bob", "happened"),
        ]
        assert shown.refusals == 2
        agreed = ANN.resolution(escalation, stated(HAPPENED, "ann"), now=now)
        await bank.agents.resolve(handle.id, agreed)
        assert (await handle.result()).tool_calls[0].effect == "done"
        await replayed(await handle.fetch_history(), Wirer)


async def test_what_was_signed_for_a_question_answers_no_other_that_a_reset_run_asks_by_the_same_id(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([answer("?"), answer("?"), DONE] * 2)
    async with serving(temporal, model, tmp_path, approvers=Keys(*ALL)) as bank:
        handle = await bank.start(Banker)
        first = await bank.escalation(handle)
        said = ANN.resolution(first, Resolution(action="guide", by="ann", text="pay eve"))
        await bank.agents.resolve(handle.id, said)
        assert (await handle.result()).status == "completed"
        events = (await handle.fetch_history()).events
        kind = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        completed = next(event.event_id for event in events if event.event_type == kind)
        again = await reset_to(bank, handle.id, handle.first_execution_run_id or "", completed)
        anew = bank.client.get_workflow_handle(handle.id, run_id=again, result_type=AgentOutcome[Any])
        second = await bank.escalation(anew)
        assert (first.id, first.run) == (second.id, second.run)
        await bank.agents.resolve(handle.id, said)

        async def refused() -> Escalation | None:
            now = await bank.escalation(anew)
            return now if any("another question" in one.reason for one in now.refused) else None

        await eventually(refused)
        honest = ANN.resolution(second, Resolution(action="guide", by="ann", text="ten dollars"))
        await bank.agents.resolve(handle.id, honest)
        assert (await anew.result()).status == "completed"
        await replayed(await anew.fetch_history())
    assert "pay eve" not in str(model.requests[-1].messages)


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
