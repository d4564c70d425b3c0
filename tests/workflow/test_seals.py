"""Activities do only what a run of the fleet sealed: tried through the doors that anybody at Temporal has."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.common.v1 import RetryPolicy as RetryPolicyMessage
from temporalio.api.workflowservice.v1 import UpdateActivityOptionsRequest
from temporalio.common import RawValue
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentOutcome
from agentflow.activity.sealed import Seals
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectClosing, EffectInquiry
from agentflow.contracts.names import CLOSE_EFFECT_ACTIVITY, SEAL_METADATA
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import ToolCallId
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from agentflow.core.seal import Seal, SealKeys
from agentflow.errors import ConfigurationError, ModelUnavailableError
from agentflow.testing import ScriptedModel, answer, call
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.workflow.agents import Banker
from tests.workflow.harness import eventually, replayed, serving
from tests.workflow.outside_doors import alone, ordered, reset_to
from tests.workflow.slipping_agents import Slipping
from tests.workflow.slipping_tools import Slips
from tests.workflow.strangers import Stranger, arguments_of
from tests.workflow.test_slipping import calling, with_slips

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
        ledger_key=ledger_key(run_root("default", workflow_id), "", 1, "pay"),
    )


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
    assert "a worker refused what the run asked" in escalation.reason
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
    assert "a worker refused what the run asked" in escalation.reason
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


async def test_what_a_local_activity_is_asked_is_good_however_late_another_worker_asks_it_again(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run's clock stands at when the first worker asked, which may have died a day ago.
    check, lifetimes = Seals.check, list[timedelta]()

    async def seen(seals: Seals, payload: Payload) -> Seal:
        found = await check(seals, payload)
        if activity.info().is_local:
            expires = datetime.fromtimestamp(found.expires, UTC)
            lifetimes.append(expires - activity.info().started_time)
        return found

    monkeypatch.setattr(Seals, "check", seen)
    async with serving(temporal, ScriptedModel(PAYS), tmp_path) as bank:
        await bank.run(Banker)
    assert lifetimes
    assert min(lifetimes) > timedelta(days=3_650)


async def test_what_an_activity_is_sent_is_good_for_longer_than_temporal_lets_it_wait_and_run(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run's clock stands at the begin of the workflow task that sends it, which lasts ten seconds and more.
    check, longer = Seals.check, list[timedelta]()

    async def seen(seals: Seals, payload: Payload) -> Seal:
        found, info = await check(seals, payload), activity.info()
        if not info.is_local and info.activity_type == "pay_in_time":
            assert info.schedule_to_close_timeout
            ends = info.scheduled_time + info.schedule_to_close_timeout
            longer.append(datetime.fromtimestamp(found.expires, UTC) - ends)
        return found

    monkeypatch.setattr(Seals, "check", seen)
    ledger = SQLiteLedger(tmp_path / "effects.sqlite")
    async with with_slips(temporal, calling("pay_in_time"), tmp_path, Slips(), ledger=ledger) as bank:
        await bank.run(Slipping)
    assert longer
    assert min(longer) > timedelta(minutes=1)
