"""Of one person's signed words the later stands, and what is said of words that no longer count is true."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import Resolution
from agentflow.adapters.signer import Signer
from agentflow.errors import DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, Impatient, LongBanker
from tests.workflow.deciding_agents import Wirer
from tests.workflow.harness import Harness, eventually, replayed, serving
from tests.workflow.outage import outage
from tests.workflow.test_resolutions import HAPPENED, NOT, in_doubt, records, stated
from tests.workflow.test_signed import Keys, filled, revocation

ANN = Signer.generate("ann", ("finance",))
BOB = Signer.generate("bob", ("finance",))
CY = Signer.generate("cy", ("finance",))
DAN = Signer.generate("dan", ("finance", "support"))
ALL = (ANN, BOB, CY, DAN)
DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]
WIRE = [call("wire", account="bob", amount="9.00"), DONE]
ABORT = Resolution(action="abort", by="?")
MINUTE = timedelta(minutes=1)


async def test_all_who_are_left_say_the_same_once_the_one_who_said_otherwise_is_revoked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys = Keys(*ALL)
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, workflows=[Wirer], approvers=keys) as bank:
        handle, escalation = await in_doubt(bank, ALL)
        for signer, word in ((ANN, HAPPENED), (BOB, NOT), (CY, NOT)):
            await bank.agents.resolve(handle.id, signer.resolution(escalation, stated(word, signer.subject)))
        await records(bank, handle, 3)
        await handle.signal("revoke", revocation(ANN))
        outcome = await asyncio.wait_for(handle.result(), 30)
        await replayed(await handle.fetch_history(), Wirer)
    assert outcome.tool_calls[0].effect == "failed"


async def test_who_thought_better_while_it_was_answered_is_not_held_to_the_older_word(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys, queue = Keys(*ALL), f"better-{tmp_path.name}"
    settings: dict[str, Any] = {"workflows": [Wirer], "approvers": keys, "queue": queue}
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, **settings) as bank:
        handle, escalation = await in_doubt(bank, ALL)
    now = datetime.now(UTC)

    async def says(signer: Signer, word: Resolution, minutes: int) -> None:
        signed = signer.resolution(escalation, stated(word, signer.subject), now=now - minutes * MINUTE)
        await handle.signal("resolve", signed.model_dump(mode="json"))

    await says(ANN, HAPPENED, 5)
    await says(BOB, HAPPENED, 5)
    await says(ANN, NOT, 3)
    await handle.signal("revoke", revocation(BOB))
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, **settings) as bank:
        await records(bank, handle, 3)
        shown = await bank.escalation(handle)
        assert shown is not None
        await says(CY, HAPPENED, 1)
        await records(bank, handle, 4)
        assert (await bank.agents.status(handle.id)).escalation is not None
        await handle.terminate()


async def test_an_older_word_does_not_count_where_the_newer_one_had_expired(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys(ANN)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        now = datetime.now(UTC)
        older = ANN.decision(request, "approve", now=now - 2 * MINUTE)
        newer = ANN.decision(request, "reject", now=now - MINUTE, valid_for=timedelta(seconds=5))
        with pytest.raises(DecisionRefusedError, match="expired"):
            await bank.agents.decide(handle.id, newer)
        with pytest.raises(DecisionRefusedError, match="signed otherwise"):
            await bank.agents.decide(handle.id, older)
        await handle.terminate()


async def test_a_newer_word_that_was_refused_leaves_no_older_one_standing(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys = Keys(*ALL)
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, workflows=[Wirer], approvers=keys) as bank:
        handle, escalation = await in_doubt(bank, ALL)
        now = datetime.now(UTC)
        first = DAN.resolution(escalation, stated(HAPPENED, "dan"), now=now - 5 * MINUTE)
        then = DAN.resolution(escalation, stated(NOT, "dan", "support"), now=now - 3 * MINUTE)
        other = BOB.resolution(escalation, stated(HAPPENED, "bob"), now=now)
        for word in (first, then, other):
            await bank.agents.resolve(handle.id, word)
        await records(bank, handle, 3)
        assert (await bank.agents.status(handle.id)).escalation is not None
        await handle.terminate()


async def test_of_an_approval_that_was_taken_back_it_is_not_said_that_nobody_decided(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=Keys(ANN, BOB)) as bank:
        handle = await bank.start(Impatient)
        request = await bank.pending(handle)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))
        await handle.signal("revoke", revocation(ANN))
        outcome = await handle.result()
        log = [r.detail for r in await bank.agents.decisions(handle.id) if r.subject == "approval"]
    error = outcome.tool_calls[0].error or ""
    assert "nobody decided" not in error, (error, log)


async def test_of_answers_that_were_taken_back_it_is_not_said_that_nobody_took_over(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:

    async def said(bank: Harness, handle: Any) -> Any:
        request = await bank.pending(handle)
        for signer in (ANN, BOB):
            await bank.agents.decide(handle.id, signer.decision(request, "approve"))
        escalation = await bank.escalation(handle)
        await bank.agents.resolve(handle.id, ANN.resolution(escalation, stated(HAPPENED, "ann")))
        await records(bank, handle, 1)
        await handle.signal("revoke", revocation(ANN))

        async def look() -> Any:
            return None if (await bank.escalation(handle)).words else True

        await eventually(look)
        return escalation

    settings: dict[str, Any] = {"workflows": [Wirer], "approvers": Keys(*ALL)}
    async with outage(skipping, ScriptedModel(WIRE), tmp_path, Wirer, said, **settings) as (run, escalation):
        await run.move_close_to(escalation.deadline)
        await run.wait_for_timers()
        async with run.serve():
            outcome = await run.handle.result()
    assert "nobody took over" not in outcome.reason, outcome.reason


async def test_in_the_name_of_another_a_person_says_otherwise_later(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys = Keys(*ALL)
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, workflows=[Wirer], approvers=keys) as bank:
        handle, escalation = await in_doubt(bank, ALL)
        now = datetime.now(UTC)
        token = CY.delegation("ann", ("finance",), timedelta(hours=1))
        old = ANN.resolution(escalation, stated(HAPPENED, "ann"), now=now - 5 * MINUTE)
        new = ANN.resolution(escalation, stated(NOT, "ann"), now=now - 3 * MINUTE, delegation=token)
        third = ANN.resolution(escalation, stated(ABORT, "ann"), now=now - 4 * MINUTE)
        for word in (new, third, old):
            await bank.agents.resolve(handle.id, word)
        await records(bank, handle, 2)
        assert (await bank.agents.status(handle.id)).escalation is not None
        await handle.terminate()


async def test_an_older_rejection_does_not_count_in_the_next_execution_either(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=Keys(ANN, BOB)) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        now = datetime.now(UTC)
        before = ANN.decision(request, "reject", now=now - MINUTE)
        await bank.agents.decide(handle.id, ANN.decision(request, "approve", now=now))
        await filled(bank, handle, request)
        for _ in range(2):
            with pytest.raises(DecisionRefusedError, match="signed otherwise"):
                await bank.agents.decide(handle.id, before)
        await bank.agents.decide(handle.id, BOB.decision(request, "approve"))
        await handle.result()
        assert bank.bank.paid == [("alice", "2000.00")]


async def test_a_rejection_signed_before_an_approval_in_anothers_place_does_not_count(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, approvers=Keys(ANN, BOB, CY)) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        now = datetime.now(UTC)
        before = ANN.decision(request, "reject", now=now - timedelta(minutes=5))
        token = CY.delegation("ann", ("finance",), timedelta(hours=1))
        await bank.agents.decide(handle.id, ANN.decision(request, "approve", now=now, delegation=token))
        with pytest.raises(DecisionRefusedError, match="signed otherwise"):
            await bank.agents.decide(handle.id, before)
        await handle.terminate()


async def test_of_who_answered_an_escalation_it_is_not_said_that_they_approved(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    keys = (ANN, BOB, CY)
    async with serving(
        temporal, ScriptedModel(WIRE), tmp_path, workflows=[Wirer], approvers=Keys(*keys)
    ) as bank:
        handle, escalation = await in_doubt(bank, keys)
        token = ANN.delegation("cy", ("finance",), timedelta(hours=1))
        await bank.agents.resolve(handle.id, ANN.resolution(escalation, stated(NOT, "ann")))
        await bank.agents.resolve(handle.id, CY.resolution(escalation, stated(NOT, "cy"), delegation=token))
        log = await records(bank, handle, 2)
        await handle.terminate()
    # Cy approved nothing, neither for herself nor for ann.
    assert "cy for ann has approved already" not in log[-1].detail, log[-1].detail
