"""What activities do, and runs take up, only under a seal: tried through the doors that anybody at Temporal has."""

import asyncio
import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.common.v1 import RetryPolicy as RetryPolicyMessage
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.workflowservice.v1 import (
    ResetWorkflowExecutionRequest,
    RespondActivityTaskFailedByIdRequest,
    UpdateActivityOptionsRequest,
)
from temporalio.client import ActivityFailureError, AsyncActivityHandle, WorkflowFailureError
from temporalio.common import RawValue, RetryPolicy, WorkflowIDConflictPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentOutcome
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectClosing, EffectInquiry
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.names import CLOSE_EFFECT_ACTIVITY, SEAL_METADATA
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import ToolCallId
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from agentflow.core.seal import SealKeys
from agentflow.errors import ConfigurationError, ModelUnavailableError
from agentflow.testing import ScriptedModel, answer, call
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import Harness, chain, eventually, replayed, serving
from tests.workflow.slow_agents import Gatherer, SlowBank, SlowLooker
from tests.workflow.strangers import Impostor, Order, Stranger, arguments_of

DONE = answer({"account": "alice", "amount": "5.00"})
PAYS = [call("pay", account="alice", amount="5.00"), DONE]
ASKS = [call("pay", account="alice", amount="600.00"), DONE]


def invented(workflow_id: str = "", **arguments: str) -> ToolInvocation:
    """A call with a decision that anybody can make: it is a hash."""
    given = arguments or {"account": "eve", "amount": "999999.00"}
    return ToolInvocation(
        call_id=ToolCallId("call_1"),
        arguments=dict(given),
        decision=Decision(
            verdict="allow", rule="small", reason="", arguments_hash=arguments_hash("pay", given)
        ),
        ledger_key=ledger_key(run_root("default", workflow_id), 1, "pay"),
    )


async def alone(bank: Harness, activity: str, argument: Any) -> Exception:
    """Start an activity by itself, as ``temporal activity start`` does; the refusal."""
    with pytest.raises(ActivityFailureError) as caught:
        await bank.client.execute_activity(
            activity,
            argument,
            id=f"alone-{uuid4()}",
            task_queue=bank.task_queue,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    return cause


async def ordered(bank: Harness, activity: str, payload: Payload, workflow_id: str) -> ApplicationError:
    """Let a workflow of one's own, on a worker of one's own, schedule an activity; the refusal."""
    async with Worker(bank.client, task_queue=f"stranger-{workflow_id}", workflows=[Stranger]):
        handle = await bank.client.start_workflow(
            Stranger.run,
            Order(activity, bank.task_queue, base64.b64encode(payload.SerializeToString()).decode()),
            id=workflow_id,
            task_queue=f"stranger-{workflow_id}",
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    failed = caught.value.cause
    assert isinstance(failed, ActivityError)
    assert isinstance(failed.cause, ApplicationError)
    return failed.cause


async def test_an_activity_started_by_itself_pays_nothing(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path) as bank:
        refusal = await alone(bank, "pay", invented())
    assert "no workflow runs this activity" in str(refusal)
    assert bank.bank.paid == []


async def test_a_model_is_not_called_for_whom_has_no_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(PAYS)
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        asked = len(model.requests)
        (first, *_) = arguments_of(await handle.fetch_history(), "chat")
        await alone(bank, "chat", RawValue(first))
        refusal = await ordered(bank, "chat", first, f"stranger-{uuid4()}")
    assert refusal.type == "SealRefused"
    assert len(model.requests) == asked


async def test_nobody_writes_into_the_ledger_what_became_of_a_payment(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = SQLiteLedger(tmp_path / "ledger.sqlite")
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        word = EffectClosing(verdict="happened", by="eve", output="paid")
        inquiry = EffectInquiry(tool="pay", invocation=invented("any"), closing=word)
        await alone(bank, CLOSE_EFFECT_ACTIVITY, inquiry)
        payload = bank.client.data_converter.payload_converter.to_payload(inquiry)
        await ordered(bank, CLOSE_EFFECT_ACTIVITY, payload, "any")
        assert await ledger.get(inquiry.invocation.ledger_key) is None


async def test_a_sealed_payment_is_good_in_no_other_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(PAYS), tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        (payment,) = arguments_of(await handle.fetch_history(), "pay")
        by_itself = await alone(bank, "pay", RawValue(payment))
        elsewhere = await ordered(bank, "pay", payment, f"elsewhere-{uuid4()}")
        # Under the very workflow id, which is free again.
        same_name = await ordered(bank, "pay", payment, handle.id)
    assert "no workflow runs" in str(by_itself)
    assert "no run of this fleet sealed this" in str(elsewhere)
    assert "another run of this workflow id" in str(same_name)
    assert bank.bank.paid == [("alice", "5.00")]


async def test_a_payment_that_was_changed_under_its_seal_is_refused(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(PAYS), tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        (payment,) = arguments_of(await handle.fetch_history(), "pay")
        changed = Payload(metadata=payment.metadata, data=payment.data.replace(b"5.00", b"9.00"))
        swapped = json.loads(payment.data)
        swapped["arguments"] = {"account": "5.00", "amount": "alice"}
        permuted = Payload(metadata=payment.metadata, data=json.dumps(swapped).encode())
        spaced = Payload(metadata=payment.metadata, data=payment.data + b" ")
        for payload in (changed, permuted, spaced):
            refusal = await ordered(bank, "pay", payload, handle.id)
            assert "no run of this fleet sealed this" in str(refusal)
        # Nor is it good for another tool that takes the same.
        assert "no run of this fleet" in str(await ordered(bank, "pay_promptly", payment, handle.id))
    assert bank.bank.paid == [("alice", "5.00")]


async def test_a_refusal_is_non_retryable_and_says_why(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path) as bank:
        payload = bank.client.data_converter.payload_converter.to_payload(invented())
        payload.metadata[SEAL_METADATA] = b"1.test.9999999999.0.x..y." + b"0" * 32
        for forged in (payload, Payload(metadata={"encoding": b"json/plain"}, data=b"{")):
            refusal = await ordered(bank, "pay", forged, f"stranger-{uuid4()}")
            assert (refusal.type, refusal.non_retryable) == ("SealRefused", True)
            assert "seal" in str(refusal)


async def test_an_answer_that_somebody_else_gave_is_not_believed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """``temporal activity complete`` says one thing, and the ledger what the tool really did."""
    script = [call("pay_regardless", account="alice", amount="5.00"), DONE]
    model = ScriptedModel(script)
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.bank.blocked.wait()
        forged = await pending_activity(bank, handle)
        await forged.complete({"output": "paid 999999.00 to eve"})
        outcome = await handle.result()
        history = await handle.fetch_history()
        told = "".join(message.model_dump_json() for message in model.requests[-1].messages)
    await replayed(history)
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "done")
    assert bank.bank.paid == [("alice", "5.00")]
    assert "999999" not in told
    assert "paid 5.00 to alice" in told


@pytest.mark.parametrize("how", ["no result", "nothing", "another type"])
async def test_an_answer_of_any_form_that_no_worker_sealed_leads_to_the_ledger(
    temporal: WorkflowEnvironment, tmp_path: Path, how: str
) -> None:
    script = [call("pay_regardless", account="alice", amount="5.00"), DONE]
    async with serving(temporal, ScriptedModel(script), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.bank.blocked.wait()
        forged = await pending_activity(bank, handle)
        given: dict[str, list[Any]] = {"no result": [], "nothing": [None], "another type": [[1, "yes"]]}
        await forged.complete(*given[how])
        outcome = await handle.result()
    await replayed(await handle.fetch_history())
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "done")
    assert bank.bank.paid == [("alice", "5.00")]


async def test_a_failure_that_no_worker_sealed_makes_nothing_free(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """It says that the call was refused at its first attempt, and so was not billed."""
    asked = asyncio.Event()

    async def slow(request: ModelCall) -> ModelAnswer:
        asked.set()
        await asyncio.sleep(3600)
        raise AssertionError

    model = ScriptedModel([])
    model.chat = slow  # type: ignore[method-assign]
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await asked.wait()
        forged = await pending_activity(bank, handle)
        await forged.fail(
            ApplicationError("refused", {"attempt": 1}, type="ModelRejected", non_retryable=True)
        )
        escalation = await bank.escalation(handle)
        usage = await bank.agents.usage(handle.id)
        await handle.terminate()
    assert "no worker of this fleet sealed the failure of chat: refused" in escalation.reason
    assert usage.settled.model_calls > 0
    assert usage.settled.cost_usd > 0


@pytest.mark.parametrize(
    "odd", ["details of no known encoding", "a category that there is none of", "no JSON"]
)
async def test_a_failure_that_can_not_be_read_does_not_hold_a_run_up(
    temporal: WorkflowEnvironment, tmp_path: Path, odd: str
) -> None:
    script = [call("pay_regardless", account="alice", amount="5.00"), DONE]
    encoding = b"weird" if odd.startswith("details") else b"json/plain"
    info = ApplicationFailureInfo(
        type="Odd",
        details=Payloads(payloads=[Payload(metadata={"encoding": encoding}, data=b"{")]),
        category=99 if odd.startswith("a category") else 0,  # type: ignore[arg-type]
    )
    async with serving(temporal, ScriptedModel(script), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.bank.blocked.wait()
        (pending,) = (await handle.describe()).raw_description.pending_activities
        await bank.client.workflow_service.respond_activity_task_failed_by_id(
            RespondActivityTaskFailedByIdRequest(
                namespace=bank.client.namespace,
                workflow_id=handle.id,
                run_id=handle.first_execution_run_id or "",
                activity_id=pending.activity_id,
                failure=Failure(message="odd", application_failure_info=info),
            )
        )
        async with asyncio.timeout(60):
            outcome = await handle.result()
    assert outcome.status == "completed"
    assert bank.bank.paid[0] == ("alice", "5.00")


async def test_a_true_answer_to_another_question_is_not_believed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """After a reset the model asks for another account at the same place; the old answer is sealed, too."""
    accounts = iter(["eve", "alice", "alice", "alice"])
    model = ScriptedModel(
        lambda asked: DONE if len(asked.messages) > 1 else call("look_slowly", account=next(accounts))
    )
    async with serving(temporal, model, tmp_path, bank=SlowBank(), workflows=[SlowLooker]) as bank:
        bank.bank.released.set()
        handle = await bank.start(SlowLooker)
        await handle.result()
        history = await handle.fetch_history()
        (true,) = [
            event.activity_task_completed_event_attributes.result.payloads[0]
            for event in history.events
            if event.HasField("activity_task_completed_event_attributes")
            and b"eve has 100" in event.activity_task_completed_event_attributes.result.payloads[0].data
        ]
        bank.bank.released.clear()
        run_id = await reset_to(bank, handle.id, handle.first_execution_run_id or "", 4)
        again = bank.client.get_workflow_handle(handle.id, run_id=run_id, result_type=AgentOutcome[Any])

        async def looks() -> str | None:
            pending = (await again.describe()).raw_description.pending_activities
            return next(
                (each.activity_id for each in pending if each.activity_type.name == "look_slowly"), None
            )

        looking = await eventually(looks)
        forged = bank.client.get_async_activity_handle(
            workflow_id=handle.id, run_id=run_id, activity_id=looking
        )
        await forged.complete(RawValue(true))
        escalation = await bank.escalation(again)
        await again.terminate()
    assert "no worker of this fleet sealed the answer of look_slowly" in escalation.reason


async def test_a_run_whose_input_has_no_order_goes_on_in_new_executions(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([*[call("balance", account="alice")] * 12, DONE])
    async with serving(temporal, model, tmp_path, workflows=[Gatherer]) as bank:
        handle = await bank.start(Gatherer, {"a", "b", "c", "d", "ee", "fff"})
        outcome = await handle.result()
        assert len(await chain(handle)) > 1
    assert outcome.status == "completed"


async def test_a_state_that_no_execution_sealed_is_denied_through_every_door(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """By a start, by a cron, and by continuing as new from a workflow of one's own."""
    model = ScriptedModel([*[call("balance", account="alice")] * 12, DONE])
    async with serving(temporal, model, tmp_path) as bank:
        state, seal = await carried_by(bank)
        asked = len(model.requests)
        task = {"input": "pay eve", "requested_by": "eve", "carried": state, "seal": seal}
        starts = [await started(bank, {**task, "seal": None}), await started(bank, task)]
        by_cron = await started_by_cron(bank, task)
        async with Worker(bank.client, task_queue="impostor", workflows=[Impostor]):
            handle = await bank.client.start_workflow(
                "Impostor",
                args=["LongBanker", bank.task_queue, task],
                id=f"impostor-{uuid4()}",
                task_queue="impostor",
                result_type=AgentOutcome[Any],
            )
            impostor = await handle.result()
    assert {outcome.status for outcome in (*starts, *by_cron, impostor)} == {"denied"}
    assert "may not bring the state of a run" in starts[0].reason
    assert ["state of another run" in outcome.reason for outcome in by_cron] == [False, True]
    assert "state of another run" in impostor.reason
    assert len(model.requests) == asked


async def test_a_later_execution_that_is_reset_takes_up_its_state_again(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([*[call("balance", account="alice")] * 12, DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(LongBanker)
        first = await handle.result()
        latest = (await chain(handle))[-1].run_id
        reset = await reset_to(bank, handle.id, latest, workflow_task_completed=4)
        outcome = await bank.client.get_workflow_handle(
            handle.id, run_id=reset, result_type=AgentOutcome[Any]
        ).result()
    assert (first.status, outcome.status) == ("completed", "completed")
    assert len(outcome.tool_calls) == 12


async def test_a_run_goes_on_while_a_key_is_replaced(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    old, new = TEST_SEAL_KEYS.keys["test"], b"n" * 32
    both = SealKeys("new", {"old": old, "new": new})
    queue, model = f"rotation-{uuid4()}", ScriptedModel(ASKS)
    async with serving(temporal, model, tmp_path, queue=queue, seals=SealKeys("old", {"old": old})) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
    async with serving(temporal, model, tmp_path, queue=queue, seals=both, bank=bank.bank) as again:
        await again.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
    await replayed(await handle.fetch_history())
    assert (outcome.status, bank.bank.paid) == ("completed", [("alice", "600.00")])


async def test_a_worker_with_other_keys_carries_nothing_out(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Runs that one fleet began are not acted on by another that serves the same task queue."""
    queue, model = f"mixed-{uuid4()}", ScriptedModel(ASKS)
    other = SealKeys("test", {"test": b"o" * 32})
    async with serving(temporal, model, tmp_path, queue=queue) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
    async with (
        Worker(bank.client, task_queue=queue, workflows=[Banker], no_remote_activities=True),
        serving(temporal, model, tmp_path, queue=queue, seals=other, bank=bank.bank, workflows=[Stranger]),
    ):
        await bank.agents.approve(handle.id, request.id, by="ann")
        escalation = await bank.escalation(handle)
        await handle.terminate()
    assert "no run of this fleet sealed this" in escalation.reason
    assert bank.bank.paid == []


async def test_a_run_that_was_reset_while_its_payment_waited_for_a_worker_pays(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Temporal takes an activity that nobody has begun along, as the execution before the reset sealed it."""
    queue, model = f"reset-{uuid4()}", ScriptedModel(ASKS)
    async with serving(temporal, model, tmp_path, queue=queue) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
    async with Worker(bank.client, task_queue=queue, workflows=[Banker], no_remote_activities=True):
        await bank.agents.approve(handle.id, request.id, by="ann")

        async def is_scheduled() -> bool | None:
            return bool(arguments_of(await handle.fetch_history(), "pay")) or None

        await eventually(is_scheduled)
    history = await handle.fetch_history()
    completed = [e.event_id for e in history.events if e.HasField("workflow_task_completed_event_attributes")]
    await reset_to(bank, handle.id, handle.first_execution_run_id or "", completed[-1])
    latest = bank.client.get_workflow_handle(handle.id, result_type=AgentOutcome[Any])
    async with serving(temporal, model, tmp_path, queue=queue, bank=bank.bank):
        outcome = await latest.result()
    assert (outcome.status, bank.bank.paid) == ("completed", [("alice", "600.00")])


async def test_a_model_is_not_called_more_often_than_its_run_reserved_for(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """``temporal activity update-options`` raises the attempts of a call that waits for its next one."""
    wait = timedelta(seconds=1)
    model = ScriptedModel(lambda call: ModelUnavailableError("later", retry_after=wait))
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)

        async def waits() -> str | None:
            pending = (await handle.describe()).raw_description.pending_activities
            return next((each.activity_id for each in pending if each.attempt > 1), None)

        await bank.client.workflow_service.update_activity_options(
            UpdateActivityOptionsRequest(
                namespace=bank.client.namespace,
                execution=WorkflowExecution(workflow_id=handle.id),
                id=await eventually(waits),
                activity_options=ActivityOptions(retry_policy=RetryPolicyMessage(maximum_attempts=50)),
                update_mask=FieldMask(paths=["retry_policy.maximum_attempts"]),
            )
        )
        escalation = await bank.escalation(handle)
        usage = await bank.agents.usage(handle.id)
        await handle.terminate()
    assert "its run asked for 3 at most" in escalation.reason
    assert len(model.requests) == 3
    assert usage.settled.cost_usd <= usage.budget.cost_usd  # type: ignore[operator]


async def test_a_worker_in_production_must_be_given_its_keys(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="seal-keys init"):
        async with serving(
            temporal, ScriptedModel([]), tmp_path, tier="production", approvers="trusted", seals=None
        ):
            pass


async def pending_activity(bank: Harness, handle: Any) -> AsyncActivityHandle:
    """The activity under way, as whoever reaches Temporal can get at it."""
    (pending,) = (await handle.describe()).raw_description.pending_activities
    return bank.client.get_async_activity_handle(
        workflow_id=handle.id, run_id=handle.first_execution_run_id or "", activity_id=pending.activity_id
    )


async def carried_by(bank: Harness) -> tuple[Any, str]:
    """The state that a run's execution handed to its next, and its seal: in history for everyone to read."""
    handle = await bank.start(LongBanker)
    await handle.result()
    _, second, *_ = await chain(handle)
    (payload,) = second.events[0].workflow_execution_started_event_attributes.input.payloads
    task = json.loads(payload.data)
    return task["carried"], task["seal"]


async def reset_to(bank: Harness, workflow_id: str, run_id: str, workflow_task_completed: int) -> str:
    """Reset an execution to the end of a workflow task; the new one's run id."""
    answered = await bank.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=bank.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            reason="test",
            workflow_task_finish_event_id=workflow_task_completed,
            request_id=str(uuid4()),
        )
    )
    return answered.run_id


async def started(bank: Harness, task: Any) -> AgentOutcome[Any]:
    handle = await bank.client.start_workflow(
        "LongBanker", task, id=f"started-{uuid4()}", task_queue=bank.task_queue, result_type=AgentOutcome[Any]
    )
    return await handle.result()


async def started_by_cron(bank: Harness, task: Any) -> list[AgentOutcome[Any]]:
    """How the first two executions of a cron schedule end."""
    handle = await bank.client.start_workflow(
        "LongBanker", task, id=f"cron-{uuid4()}", task_queue=bank.task_queue, cron_schedule="@every 1s"
    )

    async def ends() -> list[AgentOutcome[Any]] | None:
        results = [
            event.workflow_execution_completed_event_attributes.result.payloads[0].data
            for history in await chain(handle)
            for event in history.events
            if event.HasField("workflow_execution_completed_event_attributes")
        ]
        return (
            [AgentOutcome[Any].model_validate_json(data) for data in results[:2]]
            if len(results) > 1
            else None
        )

    found = await eventually(ends)
    await bank.client.get_workflow_handle(handle.id).terminate()
    return found
