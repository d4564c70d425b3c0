"""Writes whose activity fails, is cancelled or is in doubt: what the run does, and what is on record."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentOutcome, AgentTask, tools_of
from agentflow.activity import hold
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.escalation import EffectInDoubt, Resolution
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from agentflow.core.record_seals import sealed
from agentflow.errors import LedgerError
from agentflow.testing import MemoryLedger, ScriptedModel, answer, call, scripted_plugin
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, eventually, serving
from tests.workflow.stepping_agents import Remitter
from tests.workflow.tools import Bank

WORKFLOWS_ONLY: dict[str, Any] = {
    "no_remote_activities": True,
    "sticky_queue_schedule_to_start_timeout": timedelta(seconds=1),
}
COMPLETED = "activity_task_completed_event_attributes"
DONE = answer({"account": "alice", "amount": "10.00"})
WIRE = [call("wire", account="bob", amount="9.00"), DONE]


async def records(ledger: Any) -> list[EffectRecord]:
    return [found.record for found in (await ledger.find(EffectQuery())).effects]


async def in_doubt(bank: Harness, handle: WorkflowHandle[Any, Any]) -> EffectInDoubt:
    effect = (await bank.escalation(handle)).effect
    assert effect is not None
    return effect


async def ended(handle: WorkflowHandle[Any, Any]) -> AgentOutcome[Any]:
    async with asyncio.timeout(60):
        return await handle.result()


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


# ---------------------------------------------------------------- a person's word


async def test_an_effect_in_doubt_is_shown_with_all_that_is_known(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        effect = await in_doubt(bank, handle)
        await handle.terminate()
    (record,) = await records(ledger)
    assert (effect.tool, effect.arguments) == ("wire", {"account": "bob", "amount": "9.00"})
    assert (effect.key, effect.attempts) == (record.key, 1)
    assert "the line went dead" in effect.detail
    assert (record.state, record.workflow_id, record.is_open) == ("unknown", handle.id, True)


async def test_a_person_who_says_that_it_happened_gives_the_result_and_the_run_goes_on(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    model = ScriptedModel(WIRE)
    async with serving(temporal, model, tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        await in_doubt(bank, handle)
        word = Resolution(action="happened", by="otto", text="on the statement", result="wired 9.00")
        await bank.agents.resolve(handle.id, word)
        outcome = await ended(handle)
    (wired,) = outcome.tool_calls
    assert (outcome.status, wired.effect, wired.error) == ("completed", "done", None)
    assert "wired 9.00" in model.requests[-1].messages[-1].model_dump_json()
    (record,) = await records(ledger)
    assert (record.state, record.closed_by) == ("done", "otto")


async def test_a_person_who_says_that_it_did_not_happen_leaves_it_to_the_model(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        await in_doubt(bank, handle)
        await bank.agents.resolve(handle.id, Resolution(action="did_not_happen", by="otto"))
        outcome = await ended(handle)
    (wired,) = outcome.tool_calls
    assert (outcome.status, wired.effect) == ("completed", "failed")
    assert wired.error == "failed: it did not happen, says otto"
    (record,) = await records(ledger)
    assert (record.state, record.closed_by) == ("failed", "otto")


async def test_an_abort_ends_the_run_with_the_effect_unknown_and_the_record_closed(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel(WIRE), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        await in_doubt(bank, handle)
        await bank.agents.resolve(handle.id, Resolution(action="abort", by="otto", text="no way to tell"))
        outcome = await ended(handle)
    assert (outcome.status, outcome.tool_calls[0].effect) == ("escalated", "unknown")
    (record,) = await records(ledger)
    assert (record.state, record.closed_by, record.is_open) == ("unknown", "otto", False)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (Resolution(action="guide", by="otto", text="go on"), "a write is in doubt"),
        (Resolution(action="answer", by="otto", answer="x"), "a write is in doubt"),
        (Resolution(action="happened", by="otto"), "does not fit the tool's output"),
        (Resolution(action="happened", by="otto", result={"paid": 1}), "does not fit the tool's output"),
        (Resolution(action="did_not_happen", by="otto", escalation_id="escalation-7"), "is not open"),
    ],
    ids=["guide", "answer", "no result", "wrong result", "another escalation"],
)
async def test_a_word_that_does_not_say_what_happened_is_refused(
    temporal: WorkflowEnvironment, tmp_path: Path, word: Resolution, why: str
) -> None:
    async with serving(temporal, ScriptedModel(WIRE), tmp_path) as bank:
        handle = await bank.start(Banker)
        await in_doubt(bank, handle)
        await bank.agents.resolve(handle.id, word)

        async def refused() -> list[str] | None:
            return await bank.refusals(handle) or None

        assert why in (await eventually(refused))[-1]
        assert (await bank.agents.status(handle.id)).state == "escalated"
        await handle.terminate()


async def test_a_word_on_an_effect_is_refused_where_none_is_in_doubt(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([answer("?"), answer("?")]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="did_not_happen", by="otto"))

        async def refused() -> list[str] | None:
            return await bank.refusals(handle) or None

        assert (await eventually(refused))[-1] == "no write is in doubt; guide, answer or abort"
        await handle.terminate()


async def test_an_effect_that_nobody_answers_for_ends_the_run_and_stays_open_in_the_ledger(
    skipping: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(skipping, ScriptedModel(WIRE), tmp_path, ledger=ledger) as bank:
        outcome = await ended(await bank.start(Banker))
    assert (outcome.status, outcome.tool_calls[0].effect) == ("escalated", "unknown")
    (record,) = await records(ledger)
    assert record.is_open


# ---------------------------------------------------------------- reconciled


async def test_a_write_that_temporal_gave_up_and_the_probe_finds_needs_nobody(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        bank.bank.lost_answers = [ConnectionError("lost on the way back")]
        outcome = await bank.run(Remitter, "remit alice")
        assert bank.bank.paid == [("alice", "10.00")]
    assert (outcome.status, outcome.output) == ("completed", "remitted 10.00 to alice")
    assert outcome.tool_calls[0].effect == "done"


async def test_a_write_that_failed_for_certain_escalates_as_a_failure_and_not_as_a_doubt(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        bank.bank.failures = [ConnectionError("no route")]
        handle = await bank.start(Remitter, "remit alice")
        escalation = await bank.escalation(handle)
        assert escalation.effect is None
        assert "failed, and did not happen" in escalation.reason
        assert "no route" in escalation.reason
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="leave it"))
        outcome = await ended(handle)
        assert bank.bank.paid == []
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "failed")


class Unplugged:
    """A ledger that can't be reached while it is unplugged."""

    def __init__(self, times: int | None = None) -> None:
        self.is_unplugged = True
        self.inner = MemoryLedger()
        self._times = times
        """How many operations fail; all of them by default."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def unless_unplugged(*args: Any, **options: Any) -> Any:
            if self._times is not None:
                self._times -= 1
                self.is_unplugged = self._times >= 0
            if self.is_unplugged:
                raise LedgerError("the effect ledger ledger.example can't be reached: no route to host")
            return await method(*args, **options)

        return unless_unplugged


async def test_without_the_ledger_reads_go_on_writes_do_not_and_a_person_is_asked(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "PAUSE_SECONDS", 0)
    ledger = Unplugged()
    script = [call("balance", account="alice"), call("pay", account="alice", amount="5.00"), DONE]
    async with serving(temporal, ScriptedModel(script), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        escalation = await bank.escalation(handle)
        # Nothing was begun, so nothing is in doubt.
        assert escalation.effect is None
        assert "did not happen (no attempt of it began)" in escalation.reason
        assert "ledger.example can't be reached: no route to host" in escalation.reason
        assert bank.bank.looks == ["alice"]
        ledger.is_unplugged = False
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="leave it"))
        outcome = await ended(handle)
        assert bank.bank.paid == []
    assert [one.effect for one in outcome.tool_calls] == [None, "failed"]


async def test_a_ledger_that_comes_back_in_time_costs_no_question(
    skipping: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "PAUSE_SECONDS", 0)
    ledger = Unplugged(times=4)
    script = [call("pay", account="alice", amount="5.00"), DONE]
    async with serving(skipping, ScriptedModel(script), tmp_path, ledger=ledger) as bank:
        outcome = await ended(await bank.start(Banker))
        assert len(bank.bank.paid) == 1
    assert outcome.tool_calls[0].effect == "done"


async def test_a_recorded_result_that_no_longer_fits_is_shown_to_a_person_and_not_done_again(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    arguments = {"account": "alice", "amount": "10.00"}
    script = [call("pay", **arguments), DONE]
    async with serving(temporal, ScriptedModel(script), tmp_path, ledger=ledger) as bank:
        workflow_id = f"once-{uuid4()}"
        handle = await bank.client.start_workflow(
            "Banker",
            AgentTask(input="pay", requested_by="rita"),
            id=workflow_id,
            task_queue=bank.task_queue,
            # Until there is the record.
            start_delay=timedelta(seconds=1),
            result_type=AgentOutcome[Any],
        )
        # An earlier attempt of the call, whose tool answered in another form then.
        record = EffectRecord(
            key=ledger_key(run_root("default", workflow_id), str(handle.first_execution_run_id), 1, "pay"),
            namespace="default",
            workflow_id=workflow_id,
            run_id="earlier",
            tool="pay",
            tool_call_id="call_1",  # type: ignore[arg-type]
            arguments_hash=arguments_hash("pay", arguments),
            state="done",
            owner="earlier",
            lease=timedelta(0),
            result='{"output": {"paid": true}}',
        )
        assert await ledger.insert(sealed(record, 1, TEST_SEAL_KEYS))
        assert "breaks the contract" in (await in_doubt(bank, handle)).detail
        await bank.agents.resolve(
            handle.id, Resolution(action="happened", by="otto", result="paid 10.00 to alice")
        )
        outcome = await ended(handle)
        assert bank.bank.paid == []
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "done")


async def test_a_run_that_is_reset_does_not_pay_again(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Remitter, "remit alice")
        await ended(handle)
        request = ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            reason="a test",
            workflow_task_finish_event_id=4,
            request_id=str(uuid4()),
        )
        await bank.client.workflow_service.reset_workflow_execution(request)
        again = await ended(bank.client.get_workflow_handle(handle.id, result_type=AgentOutcome[Any]))
        assert bank.bank.paid == [("alice", "10.00")]
    assert (again.status, again.output) == ("completed", "remitted 10.00 to alice")


# ---------------------------------------------------------------- cancelled


async def cancelled_while_paying(bank: Harness, what: str) -> AgentOutcome[Any]:
    handle = await bank.start(Remitter, what)
    async with asyncio.timeout(30):
        await bank.bank.blocked.wait()
    await handle.cancel()
    return await ended(handle)


async def test_a_tool_that_finishes_in_spite_of_a_cancellation_is_in_the_outcome_as_done(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        outcome = await cancelled_while_paying(bank, "regardless alice")
        assert bank.bank.was_cancelled.is_set()
        assert bank.bank.looks == []  # the run ends there, instead of going on
    assert outcome.status == "cancelled"
    assert (outcome.tool_calls[0].effect, outcome.tool_calls[0].error) == ("done", None)
    (record,) = await records(ledger)
    assert record.state == "done"


async def test_a_write_that_a_cancellation_stopped_midway_is_looked_up_before_the_run_ends(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        outcome = await cancelled_while_paying(bank, "remit slow")
        assert bank.bank.paid == [("slow", "10.00")]
    assert outcome.status == "cancelled"
    assert (outcome.tool_calls[0].effect, outcome.tool_calls[0].error) == ("done", None)


async def test_a_cancellation_that_comes_with_the_completion_leaves_the_write_in_the_outcome(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    bank = Bank()
    plugin = scripted_plugin(ScriptedModel([]), tools=tools_of(bank), ledger=ledger)
    client = await temporal.connect_client(plugins=[plugin])
    queue = f"test-{uuid4()}"
    task = AgentTask(input="remit held", requested_by="rita")
    activities = Worker(client, task_queue=queue, workflows=[], identity="activities")
    async with activities:
        async with Worker(client, task_queue=queue, workflows=[Remitter], **WORKFLOWS_ONLY):
            handle = await client.start_workflow(
                "Remitter",
                task,
                id=f"test-{uuid4()}",
                task_queue=queue,
                result_type=AgentOutcome[Any],
            )
            await bank.blocked.wait()
        # While nobody takes workflow tasks, the run is cancelled and the payment completes.
        await handle.cancel()
        bank.released.set()

        async def completed() -> bool | None:
            history = await handle.fetch_history()
            return any(event.HasField(COMPLETED) for event in history.events[-4:]) or None

        await eventually(completed)
        async with Worker(client, task_queue=queue, workflows=[Remitter], **WORKFLOWS_ONLY):
            outcome = await ended(handle)
    assert outcome.status == "cancelled"
    assert [(made.tool, made.effect) for made in outcome.tool_calls] == [("remit", "done")]


async def test_a_run_that_is_cancelled_while_its_tool_hears_nothing_ends_and_asks_nobody(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Remitter, "remit deaf")
        async with asyncio.timeout(30):
            await bank.bank.blocked.wait()
        await handle.cancel()
        outcome = await ended(handle)
    assert outcome.status == "cancelled"
    assert outcome.tool_calls[0].effect == "done"
