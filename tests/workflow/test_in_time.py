"""What people send in time counts, however late a worker comes to hear of it: by the server's time."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome
from agentflow.activity import arrivals
from agentflow.adapters.signer import Signer
from agentflow.client import AgentClient
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.names import FIND_ARRIVALS_ACTIVITY
from agentflow.errors import DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, Impatient, LongBanker
from tests.workflow.deciding_agents import Hierarchic, Wirer
from tests.workflow.harness import Harness, chain, eventually, replayed, serving
from tests.workflow.outage import Outage, outage
from tests.workflow.outside_doors import reset_to
from tests.workflow.verifying_agents import Asking

ANN = Signer.generate("ann", ("finance",))
BOB = Signer.generate("bob", ("finance",))
DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]
STUCK = [answer("?"), answer("?"), DONE]


class Keys:
    async def keys(self) -> tuple[ApproverKey, ...]:
        return (ANN.public(),)


class Both:
    async def keys(self) -> tuple[ApproverKey, ...]:
        return ANN.public(), BOB.public()


def decision(request: ApprovalRequest, by: str = "ann", **said: Any) -> dict[str, Any]:
    return {"approval_id": request.id, "by": by, **said}


async def tasks_completed(handle: WorkflowHandle[Any, Any]) -> list[int]:
    """Event ids of the ends of workflow tasks so far."""
    kind = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    return [event.event_id async for event in handle.fetch_history_events() if event.event_type == kind]


async def ended(run: Outage) -> tuple[AgentOutcome[Any], list[tuple[str, str]], list[str]]:
    """The run's outcome once a worker is there again, whom it paid, and what was refused; it replays."""
    async with run.serve() as bank:
        outcome = await run.handle.result()
        refused = await bank.refusals(run.handle)
        for history in await chain(run.handle):
            await replayed(history, Banker, LongBanker, Asking)
        return outcome, bank.bank.paid, refused


async def test_an_approval_in_time_counts_though_no_worker_was_there_until_after_the_deadline(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        await run.handle.signal("approve", decision(request))
        await run.wait_for_timers()
        outcome, paid, _ = await ended(run)
    assert outcome.tool_calls[0].approved_by == ("ann",)
    assert paid == [("alice", "600.00")]


async def test_a_rejection_in_time_counts_and_an_approval_after_it_does_not(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        await run.handle.signal("reject", decision(request, "ann", reason="not ours"))
        await run.handle.signal("approve", decision(request, "bob"))
        await run.wait_for_timers()
        outcome, paid, refused = await ended(run)
    assert "rejected by ann: not ours" in (outcome.tool_calls[0].error or "")
    assert paid == []
    assert any("is rejected already" in why for why in refused)


async def test_of_two_approvals_one_in_time_and_one_late_are_not_enough(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(HUGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        await run.handle.signal("approve", decision(request, "ann"))
        await run.wait_past(request.deadline)
        await run.handle.signal("approve", decision(request, "bob"))
        outcome, paid, refused = await ended(run)
    assert "expired" in (outcome.tool_calls[0].error or "")
    assert paid == []
    assert any("has passed; it came at" in why for why in refused)


async def test_what_is_sent_again_after_the_deadline_takes_nothing_from_what_came_in_time(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(HUGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        for name in ("ann", "bob"):
            await run.handle.signal("approve", decision(request, name))
        await run.wait_past(request.deadline)
        for name in ("bob", "cy", "bob", "ann"):
            await run.handle.signal("approve", decision(request, name))
        outcome, paid, _ = await ended(run)
    assert outcome.tool_calls[0].approved_by == ("ann", "bob")
    assert paid == [("alice", "2000.00")]


async def test_an_approval_that_comes_late_by_the_server_is_refused_though_its_timer_is_not_heard_of(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        await run.wait_past(request.deadline)
        await run.handle.signal("approve", decision(request))
        outcome, paid, refused = await ended(run)
        assert await run.activities(FIND_ARRIVALS_ACTIVITY) == 1
    assert "expired" in (outcome.tool_calls[0].error or "")
    assert paid == []
    assert any("has passed; it came at" in why for why in refused)


async def test_where_nobody_can_have_been_in_time_history_is_not_asked(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        await run.handle.signal("approve", decision(request, approval_id="approval-9"))
        await run.handle.signal("approve", decision(request, arguments_hash="0" * 64))
        await run.handle.signal("approve", decision(request, "rita"))
        await run.wait_for_timers()
        outcome, _, refused = await ended(run)
        assert await run.activities(FIND_ARRIVALS_ACTIVITY) == 0
    assert "expired" in (outcome.tool_calls[0].error or "")
    assert "no approval approval-9" in refused


async def test_an_answer_to_an_escalation_in_time_counts(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(STUCK)
    async with outage(skipping, model, tmp_path, Banker, Harness.escalation) as (run, escalation):
        await run.move_close_to(escalation.deadline)
        await run.handle.signal("resolve", {"action": "guide", "by": "ann", "text": "ten dollars"})
        await run.wait_for_timers()
        outcome, _, _ = await ended(run)
    assert outcome.status == "completed"
    assert "ten dollars" in str(model.requests[-1].messages)


async def test_an_answer_to_an_escalation_that_comes_late_does_not_count(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(STUCK)
    async with outage(skipping, model, tmp_path, Banker, Harness.escalation) as (run, escalation):
        await run.move_close_to(escalation.deadline)
        await run.wait_past(escalation.deadline)
        await run.handle.signal("resolve", {"action": "guide", "by": "ann", "text": "go on"})
        outcome, _, refused = await ended(run)
    assert outcome.status == "escalated"
    assert "no answer counted before" in outcome.reason
    assert "answers that did not count: 1" in outcome.reason
    assert any("has passed; it came at" in why for why in refused)


async def test_a_signature_that_was_good_when_it_came_counts_though_it_has_expired_since(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    settings = {"approvers": Keys()}
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending, **settings) as (
        run,
        request,
    ):
        now = await run.skipper.get_current_time(run.handle)
        signed = ANN.decision(request, "approve", now=now, valid_for=timedelta(seconds=5))
        await run.handle.signal("approve", signed.model_dump(mode="json"))
        await run.wait_past(now + timedelta(seconds=6))
        outcome, paid, _ = await ended(run)
    assert outcome.tool_calls[0].approved_by == ("ann",)
    assert paid == [("alice", "600.00")]


async def test_a_signature_that_had_expired_when_it_came_does_not_count_though_its_approval_is_in_time(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    settings = {"approvers": Keys()}
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending, **settings) as (
        run,
        request,
    ):
        await run.move_close_to(request.deadline)
        now = await run.skipper.get_current_time(run.handle)
        signed = ANN.decision(request, "approve", now=now, valid_for=timedelta(seconds=1))
        await run.wait_past(now + timedelta(seconds=2))
        await run.handle.signal("approve", signed.model_dump(mode="json"))
        await run.wait_for_timers()
        outcome, paid, refused = await ended(run)
    assert "expired" in (outcome.tool_calls[0].error or "")
    assert paid == []
    assert any("the signature expired at" in why and "it came at" in why for why in refused)


async def test_an_expired_signature_that_is_sent_again_and_again_makes_one_question(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, approvers=Keys()) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        then = datetime.now(UTC) - timedelta(seconds=3)
        old = ANN.decision(request, "approve", now=then, valid_for=timedelta(seconds=2))
        fresh = ANN.decision(request, "approve", reason="looked again")
        for number in range(1, 4):
            await handle.signal("approve", old.model_dump(mode="json"))

            async def refused(number: int = number) -> bool | None:
                return True if len(await bank.refusals(handle)) > number else None

            await eventually(refused)
        await handle.signal("approve", fresh.model_dump(mode="json"))
        outcome = await handle.result()
        asked = [
            event.activity_task_scheduled_event_attributes.activity_type.name
            async for event in handle.fetch_history_events()
        ]
        await replayed(await handle.fetch_history())
    assert outcome.tool_calls[0].approved_by == ("ann",)
    assert asked.count(FIND_ARRIVALS_ACTIVITY) <= 1


async def test_an_agents_own_verifier_is_asked_as_of_when_an_approval_came(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    settings = {"workflows": [Asking]}
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Asking, Harness.pending, **settings) as (
        run,
        request,
    ):
        await run.move_close_to(request.deadline)
        await run.handle.signal("approve", decision(request, "true"))
        await run.handle.signal("approve", decision(request, "ann"))
        await run.wait_for_timers()
        outcome, paid, _ = await ended(run)
    assert outcome.tool_calls[0].approved_by == ("ann",)
    assert paid == [("alice", "600.00")]


async def test_an_approval_in_time_counts_in_the_execution_that_a_run_continued_as(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async def continued(bank: Harness, handle: WorkflowHandle[Any, Any]) -> ApprovalRequest:
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        for number in range(60):
            await handle.signal("nonsense", number)

        async def look() -> bool | None:
            return True if len(await chain(handle)) > 1 else None

        await eventually(look)
        return await bank.pending(handle)

    async with outage(skipping, ScriptedModel(HUGE), tmp_path, LongBanker, continued) as (run, request):
        await run.move_close_to(request.deadline)
        await run.handle.signal("approve", decision(request, "bob"))
        await run.wait_for_timers()
        outcome, paid, _ = await ended(run)
    assert outcome.tool_calls[0].approved_by == ("ann", "bob")
    assert paid == [("alice", "2000.00")]


async def test_a_run_that_is_reset_after_the_deadline_counts_what_was_sent_before_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path) as bank:
        handle = await bank.start(Impatient)
        request = await bank.pending(handle)
        # The reset goes back to the task that hears this, when the approval is open.
        await handle.signal("approve", decision(request, "rita"))

        async def heard() -> list[str] | None:
            return [why for why in await bank.refusals(handle) if "may not approve" in why] or None

        await eventually(heard)
        completed = (await tasks_completed(handle))[-1]
        await handle.signal("approve", decision(request, "ann"))
        assert (await handle.result()).tool_calls[0].approved_by == ("ann",)

        async def look() -> bool | None:
            return True if datetime.now(UTC) > request.deadline else None

        await eventually(look)
        again = await reset_to(bank, handle.id, handle.first_execution_run_id or "", completed)
        anew = bank.client.get_workflow_handle(handle.id, run_id=again, result_type=AgentOutcome[Any])
        outcome = await anew.result()
        assert bank.bank.paid == [("alice", "600.00")]
        await replayed(await anew.fetch_history())
    assert outcome.tool_calls[0].approved_by == ("ann",)


async def test_the_update_is_late_if_no_worker_takes_it_in_time(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        agents = AgentClient(skipping.client)
        sent = asyncio.create_task(agents.approve(run.handle.id, request.id, by="ann"))
        await run.wait_for_timers()
        outcome, paid, _ = await ended(run)
        with pytest.raises(DecisionRefusedError, match="has passed"):
            await sent
    assert "expired" in (outcome.tool_calls[0].error or "")
    assert paid == []


async def test_where_history_is_too_long_to_be_read_a_late_hearing_is_as_late_as_it_seems(
    skipping: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MAX_EVENTS", 2)
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        await run.handle.signal("approve", decision(request))
        await run.wait_for_timers()
        outcome, paid, refused = await ended(run)
    assert "expired" in (outcome.tool_calls[0].error or "")
    assert paid == []
    assert any("when it came can't be told: there is more history to read" in why for why in refused)


async def test_thousands_of_late_approvals_make_few_questions_and_the_one_in_time_counts(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(HUGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        await run.handle.signal("approve", decision(request, "ann"))
        await run.wait_past(request.deadline)
        for first in range(0, 4_000, 100):
            names = (f"person {number}" for number in range(first, first + 100))
            await asyncio.gather(*(run.handle.signal("approve", decision(request, name)) for name in names))
        async with run.serve() as bank:
            outcome = await run.handle.result()
            log = await bank.agents.decisions(run.handle.id)
        # Each workflow task that takes some of them may ask once.
        assert 1 <= await run.activities(FIND_ARRIVALS_ACTIVITY) <= 3
        assert len(await run.times(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)) == 4_001
    assert "expired" in (outcome.tool_calls[0].error or "")
    assert [line.by for line in log if line.subject == "approval" and line.accepted] == ["ann"]


def around(payload: dict[str, Any], number: int) -> dict[str, Any]:
    """The same word in another envelope: whoever sends a token again may leave out what stands beside it."""
    optional = ("arguments_hash", "roles", "verdict", "reason")
    return {key: value for key, value in payload.items() if key not in optional[: number % 5]}


async def send_at_once(run: Outage, payloads: list[dict[str, Any]]) -> None:
    for first in range(0, len(payloads), 50):
        await asyncio.gather(*(run.handle.signal("approve", each) for each in payloads[first : first + 50]))


async def test_copies_of_one_signed_approval_and_garbage_keep_no_others_out(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    settings = {"approvers": Both()}
    async with outage(skipping, ScriptedModel(HUGE), tmp_path, Banker, Harness.pending, **settings) as (
        run,
        request,
    ):
        await run.move_close_to(request.deadline)
        now = await run.skipper.get_current_time(run.handle)
        anns, bobs = (one.decision(request, "approve", now=now).model_dump(mode="json") for one in (ANN, BOB))
        garbage = [{**anns, "token": f"{anns['token']}{number}"} for number in range(60)]
        await send_at_once(run, [around(anns, number) for number in range(130)] + garbage)
        await run.handle.signal("approve", bobs)
        await run.wait_for_timers()
        outcome, paid, refused = await ended(run)
        assert await run.activities(FIND_ARRIVALS_ACTIVITY) == 1
    assert outcome.tool_calls[0].approved_by == ("ann", "bob")
    assert paid == [("alice", "2000.00")]
    assert any("the same was sent before, and waits to be judged" in why for why in refused)


@pytest.mark.parametrize("agent", [Banker, Asking])
async def test_what_comes_under_one_name_takes_no_more_than_its_share(
    skipping: WorkflowEnvironment, tmp_path: Path, agent: type
) -> None:
    settings = {"workflows": [agent]}
    async with outage(skipping, ScriptedModel(HUGE), tmp_path, agent, Harness.pending, **settings) as (
        run,
        request,
    ):
        await run.move_close_to(request.deadline)
        odd = [decision(request, "eve", roles=[f"r{number}"], reason=f"{number}") for number in range(120)]
        await send_at_once(run, odd)
        for name in ("ann", "bob"):
            await run.handle.signal("approve", decision(request, name))
        await run.wait_for_timers()
        outcome, paid, refused = await ended(run)
    assert outcome.tool_calls[0].approved_by == ("eve", "ann")
    assert paid == [("alice", "2000.00")]
    assert any("others of eve on approval-1 wait to be judged" in why for why in refused)


async def test_who_says_yes_no_and_yes_again_where_nobody_signs_means_yes(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async def in_doubt(bank: Harness, handle: WorkflowHandle[Any, Any]) -> Escalation:
        request = await bank.pending(handle)
        for name in ("ann", "bob"):
            await bank.agents.approve(handle.id, request.id, by=name, roles=("finance",))
        return await bank.escalation(handle)

    model = ScriptedModel([call("wire", account="bob", amount="9.00"), DONE])
    yes, no = {"action": "happened", "result": "wired 9.00"}, {"action": "did_not_happen"}
    async with outage(skipping, model, tmp_path, Wirer, in_doubt, workflows=[Wirer]) as (run, escalation):
        await run.move_close_to(escalation.deadline)
        for name, word in (("ann", yes), ("ann", no), ("ann", yes), ("ann", yes), ("bob", yes)):
            await run.handle.signal("resolve", {**word, "by": name, "roles": ["finance"]})
        await run.wait_for_timers()
        async with run.serve() as bank:
            outcome = await run.handle.result()
            refused = await bank.refusals(run.handle)
            await replayed(await run.handle.fetch_history(), Wirer)
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "done")
    assert len([why for why in refused if "the same was sent before" in why]) == 1


@pytest.mark.parametrize("when", ["together", "while history is asked"])
async def test_what_comes_late_takes_nothing_from_what_came_in_time(
    skipping: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    read = arrivals._Reader.signals

    async def slowly(self: Any, *told: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await read(self, *told)

    monkeypatch.setattr(arrivals._Reader, "signals", slowly)
    settings = {"approvers": Keys()}
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending, **settings) as (
        run,
        request,
    ):
        await run.move_close_to(request.deadline)
        now = await run.skipper.get_current_time(run.handle)
        yes = ANN.decision(request, "approve", now=now)
        no = ANN.decision(request, "reject", now=now + timedelta(seconds=8))
        await run.handle.signal("approve", yes.model_dump(mode="json"))
        await run.wait_for_timers()
        await run.wait_past(request.deadline + timedelta(seconds=2))
        if when == "together":
            await run.handle.signal("reject", no.model_dump(mode="json"))
        async with run.serve() as bank:
            await asyncio.wait_for(begun.wait(), 30)
            if when != "together":
                await run.handle.signal("reject", no.model_dump(mode="json"))

                async def refused() -> Any:
                    return await bank.refusals(run.handle) or None

                await eventually(refused)
            go_on.set()
            outcome = await run.handle.result()
            why = await bank.refusals(run.handle)
            paid = bank.bank.paid
    assert paid == [("alice", "600.00")], (outcome.tool_calls[0].error, why)


async def test_whose_role_did_not_count_yet_when_it_came_does_not_count_since_the_worker_was_away(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"workflows": [Hierarchic]}
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Hierarchic, Harness.pending, **settings) as (
        run,
        request,
    ):
        later = request.next_roles_from
        assert later is not None
        await run.move_close_to(later)
        sent = {"approval_id": request.id, "by": "ann", "roles": ["finance"]}
        assert await run.skipper.get_current_time(run.handle) < later
        await run.handle.signal("approve", sent)
        await run.wait_past(later)
        async with run.serve() as bank:

            async def look() -> Any:
                log = await bank.agents.decisions(run.handle.id)
                return [r for r in log if r.by == "ann"] or None

            records = await eventually(look)
            record = records[0]
            paid = bank.bank.paid
            await run.handle.terminate()
    assert not record.accepted, ([(r.subject, r.accepted, r.detail) for r in records], paid)
