"""Who asked for a run: signed, told by a header, or not verified; on a server, to the end of the run."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.history.executions import Histories
from agentflow.adapters.history.finding import first_of
from agentflow.adapters.history.reader import read_run
from agentflow.adapters.requesters import HeaderRequesters, SignedRequesters
from agentflow.adapters.signer import Signer
from agentflow.audit.reading import findings_of
from agentflow.audit.reexecute.running import Again, reexecute
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import SelectedRun
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.requester import RequesterPolicy
from agentflow.converter import agentflow_data_converter
from agentflow.errors import DecisionRefusedError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.checking_agents import CheckedBanker
from tests.workflow.harness import Harness, chain, eventually, replayed, serving
from tests.workflow.parent_agents import Child, Parent
from tests.workflow.test_temporal_cli import cli

DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]
RITA = Signer.generate("rita")
INBOX = Signer.generate("inbox-service")


class Keys:
    """Rita's key, and that of a service that may start runs for everybody at example.com."""

    async def keys(self) -> tuple[ApproverKey, ...]:
        return (RITA.public(), INBOX.public().model_copy(update={"subjects": ("*@example.com",)}))


SIGNED = SignedRequesters(Keys())


async def started(bank: Harness, signer: Signer | None = None, **task: Any) -> WorkflowHandle[Any, Any]:
    made = AgentTask(**{"input": "hello", "requested_by": "rita", **task})
    run = await bank.agents.start(Banker, made, task_queue=bank.task_queue, signer=signer)
    return bank.client.get_workflow_handle(run, result_type=AgentOutcome[Any])


async def test_a_person_starts_a_run_as_somebody_else_and_can_not_sign_her_own(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, requesters=SIGNED) as bank:
        outcome = await (await started(bank, RITA, requested_by="inbox")).result()
        unsigned = await (await started(bank, requested_by="inbox")).result()
    assert (outcome.status, unsigned.status) == ("denied", "denied")
    assert f"the key {RITA.kid} does not speak for inbox" in outcome.reason
    assert "not verified: the run was started without a token" in unsigned.reason


async def test_a_signed_start_names_the_requester_and_the_run_replays(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, requesters=SIGNED) as bank:
        handle = await started(bank, RITA)
        request = await bank.pending(handle)
        assert (request.requested_by, request.requester_proof) == ("rita", "token")
        with pytest.raises(DecisionRefusedError, match="asked for this run"):
            await bank.agents.approve(handle.id, request.id, by="rit\u0430")
        await bank.agents.approve(handle.id, request.id, by="ann")
        assert (await handle.result()).status == "completed"
        decisions = await bank.agents.decisions(handle.id)
        assert any(f"rita, verified by the key {RITA.kid}" in line.detail for line in decisions)
        await replayed(await handle.fetch_history())


async def test_a_service_signs_for_those_its_key_names(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path, requesters=SIGNED) as bank:
        handle = await started(bank, INBOX, requested_by="eve@example.com")
        assert (await handle.result()).status == "completed"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"input": "pay mallory"}, "for another task"),
        ({"tenant": "other"}, "for another task"),
        ({"requested_by": "eve"}, "the task says eve"),
        ({"requester_token": "x.y.z"}, "can't be read"),
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_this_start_denies_it_even_where_none_is_needed(
    temporal: WorkflowEnvironment, tmp_path: Path, change: dict[str, str], why: str
) -> None:
    lenient = SignedRequesters(Keys(), unverified=True)
    async with serving(temporal, ScriptedModel([DONE]), tmp_path, requesters=lenient) as bank:
        run = f"signed-{uuid4()}"
        task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
        sent = RITA.start("Banker", task, namespace=bank.client.namespace, workflow_id=run)
        outcome = await bank.client.execute_workflow(
            "Banker", {**json.loads(sent.model_dump_json()), **change}, id=run, task_queue=bank.task_queue
        )
        assert (await started(bank)).id
    assert outcome["status"] == "denied"
    assert why in outcome["reason"]


async def test_a_token_does_not_start_a_run_of_another_id_or_agent(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
    async with serving(temporal, ScriptedModel([DONE]), tmp_path, requesters=SIGNED) as bank:
        run = f"signed-{uuid4()}"
        sent = RITA.start("Banker", task, namespace=bank.client.namespace, workflow_id=run)
        moved = await bank.client.execute_workflow("Banker", sent, id=f"{run}-2", task_queue=bank.task_queue)
        other = await bank.client.execute_workflow("LongBanker", sent, id=run, task_queue=bank.task_queue)
    assert "which is another run" in moved["reason"]
    assert "starts Banker, not LongBanker" in other["reason"]


async def test_where_a_worker_lets_them_unverified_runs_begin_and_say_so(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    lenient = SignedRequesters(Keys(), unverified=True)
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, requesters=lenient) as bank:
        handle = await started(bank)
        assert (await bank.pending(handle)).requester_proof is None
        decisions = await bank.agents.decisions(handle.id)
        assert any("rita is not verified: the run was started without a token" in d.detail for d in decisions)
        await handle.cancel()
        await handle.result()


async def with_header(environment: WorkflowEnvironment, bank: Harness, value: str) -> AgentOutcome[Any]:
    run = f"told-{uuid4()}"
    task = json.dumps({"input": "pay alice", "requested_by": "rita"})
    await cli(
        environment, "workflow", "start", "--type", "Banker", "--task-queue", bank.task_queue,
        "--workflow-id", run, "--input", task, "--headers", f"x-client-name={value}",
    )  # fmt: skip
    handle = bank.client.get_workflow_handle(run, result_type=AgentOutcome[Any])
    return await handle.result()


async def test_a_header_of_the_start_says_who_asked(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    source = HeaderRequesters("x-client-name")
    async with serving(temporal, ScriptedModel([DONE, DONE]), tmp_path, requesters=source) as bank:
        good = await with_header(temporal, bank, '"rita"')
        other = await with_header(temporal, bank, '"eve"')
        none = await (await started(bank)).result()
    assert good.status == "completed"
    assert other.reason.endswith("the header x-client-name says eve, and the task says rita")
    assert none.reason.endswith("the run was started without the header x-client-name")


async def test_the_requester_stays_verified_in_the_executions_to_come(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    looks = [call("balance", account="alice")] * 8
    async with serving(temporal, ScriptedModel([*looks, *LARGE]), tmp_path, requesters=SIGNED) as bank:
        task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
        run = await bank.agents.start(LongBanker, task, task_queue=bank.task_queue, signer=RITA)
        handle = bank.client.get_workflow_handle(run, result_type=AgentOutcome[Any])
        request = await bank.pending(handle)
        assert len(await chain(handle)) > 1
        assert request.requester_proof == "token"
        await bank.agents.approve(run, request.id, by="ann")
        assert (await handle.result()).status == "completed"


async def test_a_key_that_is_revoked_between_the_start_and_the_first_worker_verifies_nobody(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, requesters=SIGNED) as bank:
        queue = bank.task_queue
    handle = await started(bank, RITA)
    leaked = RITA.public().model_copy(update={"revoked_at": datetime.now(UTC)})

    class Later:
        async def keys(self) -> tuple[ApproverKey, ...]:
            return (leaked,)

    requesters = SignedRequesters(Later())
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, queue=queue, requesters=requesters):
        async with asyncio.timeout(30):
            outcome = await handle.result()
    assert outcome.status == "denied"
    assert f"the key {RITA.kid} no longer counts" in outcome.reason


async def test_a_key_that_is_revoked_while_the_run_goes_on_verifies_its_requester_no_more(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    looks = [call("balance", account="alice")] * 8
    async with serving(
        temporal, ScriptedModel([*LARGE[:1], *looks, *LARGE]), tmp_path, requesters=SIGNED
    ) as bank:
        task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
        run = await bank.agents.start(LongBanker, task, task_queue=bank.task_queue, signer=RITA)
        handle = bank.client.get_workflow_handle(run, result_type=AgentOutcome[Any])
        first = await bank.pending(handle)
        await handle.signal("revoke", {"kid": RITA.kid, "by": "security"})
        await bank.agents.approve(run, first.id, by="ann")

        async def second() -> str | None:
            waiting = await bank.agents.pending_approvals(run)
            return str(waiting[0].requester_proof) if waiting and waiting[0].id != first.id else None

        assert await eventually(second) == "None"
        await handle.cancel()
        await handle.result()


async def test_the_second_execution_of_a_schedule_is_not_verified_by_the_first_ones_token(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    run = f"cron-{uuid4()}"
    task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
    async with serving(temporal, ScriptedModel([DONE]), tmp_path, requesters=SIGNED) as bank:
        sent = RITA.start("Banker", task, namespace=bank.client.namespace, workflow_id=run)
        first = await bank.client.start_workflow(
            "Banker", sent, id=run, task_queue=bank.task_queue, cron_schedule="@every 1s"
        )
        outcome, next_run = await ended(bank, run, str(first.first_execution_run_id))
        assert outcome["status"] == "completed"
        outcome, _ = await ended(bank, run, next_run)
        await bank.client.get_workflow_handle(run).terminate()
    assert outcome["status"] == "denied"
    assert "a later execution of a schedule" in outcome["reason"]


async def ended(bank: Harness, workflow_id: str, run_id: str) -> tuple[dict[str, Any], str]:
    """The outcome of one execution, and which comes next."""

    async def look() -> tuple[dict[str, Any], str] | None:
        history = await bank.client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        end = history.events[-1].workflow_execution_completed_event_attributes
        return (
            (json.loads(end.result.payloads[0].data), end.new_execution_run_id)
            if end.result.payloads
            else None
        )

    return await eventually(look)


async def test_a_run_that_is_reset_later_keeps_its_requester_though_the_token_is_over(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    run = f"reset-{uuid4()}"
    task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, requesters=SIGNED) as bank:
        sent = RITA.start(
            "Banker",
            task,
            namespace=bank.client.namespace,
            workflow_id=run,
            valid_for=timedelta(seconds=5),
        )
        began = time.monotonic()
        handle = await bank.client.start_workflow("Banker", sent, id=run, task_queue=bank.task_queue)
        await bank.pending(handle)
        await asyncio.sleep(max(0, 6 - (time.monotonic() - began)))
        await cli(
            temporal, "workflow", "reset", "--workflow-id", run, "--type", "FirstWorkflowTask",
            "--reason", "again",
        )  # fmt: skip
        request = await bank.pending(handle)
        assert request.requester_proof == "token"
        await bank.agents.approve(run, request.id, by="ann")
        last = bank.client.get_workflow_handle(run, result_type=AgentOutcome[Any])
        assert (await last.result()).status == "completed"
        assert bank.bank.paid == [("alice", "600.00")]


async def test_a_token_does_nothing_twice_that_is_sent_again_for_the_same_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    run = f"again-{uuid4()}"
    small = [call("pay", account="alice", amount="5.00"), DONE]
    task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
    async with serving(temporal, ScriptedModel(small), tmp_path, requesters=SIGNED) as bank:
        sent = RITA.start("Banker", task, namespace=bank.client.namespace, workflow_id=run)
        outcome = await bank.client.execute_workflow("Banker", sent, id=run, task_queue=bank.task_queue)
        assert outcome["status"] == "completed"
        # Another run of the workflow id, which asks whether the first one's payment counts.
        again = await bank.client.start_workflow("Banker", sent, id=run, task_queue=bank.task_queue)
        effect = (await bank.escalation(again)).effect
        assert effect is not None
        assert effect.earlier is not None
        await again.terminate()
        assert bank.bank.paid == [("alice", "5.00")]


async def test_a_child_run_is_not_verified_by_its_parent(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    settings = {"requesters": SIGNED, "workflows": [Parent, Child]}
    task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
    async with serving(temporal, ScriptedModel([DONE]), tmp_path, **settings) as bank:
        run = await bank.agents.start(Parent, task, task_queue=bank.task_queue, signer=RITA)
        assert (await bank.agents.result(run, str)).output.startswith("denied: ")
        child = await bank.agents.result(f"{run}-child", str)
    assert child.status == "denied"
    assert "not verified" in child.reason


async def test_an_audit_verifies_again_who_asked_and_a_run_done_again_is_told_the_same(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    small = [call("pay", account="alice", amount="5.00"), DONE]
    task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
    settings = {"requesters": SIGNED, "workflows": [CheckedBanker]}
    async with serving(temporal, ScriptedModel(small), tmp_path, **settings) as bank:
        run = await bank.agents.start(CheckedBanker, task, task_queue=bank.task_queue, signer=RITA)
        await bank.agents.result(run, object)
        executions = await Histories(bank.client).of(run)
    selected = SelectedRun(run, executions)
    async with ReplayedRuns([CheckedBanker], "default") as by_code:
        found = await findings_of(selected, agentflow_data_converter, by_code)
        done = await reexecute(selected, Again(CheckedBanker), agentflow_data_converter, by_code)
    started_with = first_of(found.findings, "started")
    assert started_with is not None
    assert started_with.facts["requester"] == "token"
    assert started_with.facts["requester_key"] == RITA.kid
    assert done.is_same
    payload = executions[0].history.events[0].workflow_execution_started_event_attributes.input.payloads[0]
    payload.data = payload.data.replace(b'"hello"', b'"other"')
    story = await read_run(agentflow_data_converter, run, executions)
    forged = first_of(story.findings, "started")
    assert forged is not None
    assert forged.facts["requester"] == "not_verified"
    assert forged.contents["not_verified_because"] == "the token is for another task"


class Later:
    async def policy(self) -> Any:
        return True


async def test_a_source_that_answers_something_else_begins_no_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([DONE]), tmp_path, requesters=Later()) as bank:
        with pytest.raises(WorkflowFailureError):
            await (await started(bank)).result()


async def test_a_rule_asks_where_nobody_is_verified_and_not_where_somebody_is(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    small = call("pay", account="alice", amount="5.00")
    task: AgentTask[Any] = AgentTask(input="hello", requested_by="rita")
    settings = {"requesters": SignedRequesters(Keys(), unverified=True), "workflows": [CheckedBanker]}
    async with serving(temporal, ScriptedModel([small, DONE]), tmp_path, **settings) as bank:
        handle = await bank.start(CheckedBanker)
        assert (await bank.pending(handle)).rule == "verified_requester"
        await handle.cancel()
        await handle.result()
        run = await bank.agents.start(CheckedBanker, task, task_queue=bank.task_queue, signer=RITA)
        assert (await bank.agents.result(run, object)).status == "completed"
        assert bank.bank.paid == [("alice", "5.00")]


async def test_whoever_is_named_in_the_input_never_counts_alone_where_two_are_asked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path) as bank:
        handle = await bank.start(
            Banker, "Ann wants 2000.00, says b\u200bob@example.com", requested_by="inbox"
        )
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        with pytest.raises(DecisionRefusedError, match="named in what the run was started with"):
            await bank.agents.approve(handle.id, request.id, by="Bob@Example.com")
        await handle.signal("approve", {"approval_id": request.id, "by": "b\u043eb@example.com"})
        assert bank.bank.paid == []
        receipt = await bank.agents.approve(handle.id, request.id, by="cy")
        assert receipt.status == "approved"
        await handle.result()
        assert len([why for why in await bank.refusals(handle) if "named in what" in why]) == 2
        assert bank.bank.paid == [("alice", "2000.00")]


async def test_two_spellings_of_one_person_are_no_quorum(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        for spelling in ("ann", "an\u200bn", "\u0430nn", "ANN", "\uff41nn", "ann\u2800", "an\u00adn"):
            await handle.signal("approve", {"approval_id": request.id, "by": spelling})
        assert (await bank.pending(handle)).approved_by == ("ann",)
        refused = [why for why in await bank.refusals(handle) if why.startswith("appro")]
        assert len(refused) == 6
        assert any("U+200B as character 3" in why for why in refused)
        await handle.cancel()
        await handle.result()
        assert bank.bank.paid == []


def test_a_policy_says_nothing_that_it_need_not() -> None:
    assert RequesterPolicy(header="x").model_dump(mode="json") == {"header": "x", "longest": "PT15M"}
