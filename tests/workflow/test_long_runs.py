"""A run that gets long goes on in new executions, as one run."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import Budget
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.contracts.budget import Spend
from agentflow.contracts.carried import CarriedRun, CarriedTranscript
from agentflow.contracts.identity import Consent
from agentflow.contracts.manifest import Manifest, Release
from agentflow.contracts.model import ModelPrice
from agentflow.contracts.wire import Sha256
from agentflow.testing import ScriptedModel, answer, call, calls
from agentflow.testing.settings import TEST_MODEL
from tests.conftest import temporal_binary
from tests.workflow.agents import LongBanker, SuggestedBanker
from tests.workflow.harness import Harness, chain, eventually, serving
from tests.workflow.outage import timers_of
from tests.workflow.stepping_agents import Patient, Stepper

DONE = answer({"account": "alice", "amount": "1.00"})
LOOKS = [call("balance", account="alice")] * 12


async def executions(handle: WorkflowHandle[Any, Any]) -> int:
    """How many the run's chain has so far."""
    return len(await chain(handle))


async def test_a_long_run_goes_on_in_new_executions_as_one(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([*LOOKS, DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(LongBanker, tenant="acme")
        outcome = await handle.result()
        assert await executions(handle) > 2
        decisions = await bank.agents.decisions(handle.id)
        usage = await bank.agents.usage(handle.id)
        described = await handle.describe()
    assert outcome.status == "completed"
    # The model was told everything each time, and each call was made once.
    assert len(model.requests) == 13
    assert len(model.requests[-1].messages) == 1 + 2 * 12
    assert bank.bank.looks == ["alice"] * 12
    assert len(outcome.tool_calls) == 12
    assert outcome.usage.model_calls == usage.settled.model_calls == 13
    assert len([line for line in decisions if line.subject == "tool_call"]) == 12
    found = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert (found["AgentName"], found["AgentTenant"], found["AgentOutcome"]) == (
        "LongBanker",
        "acme",
        "completed",
    )


async def test_what_was_spent_before_counts(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([*LOOKS, DONE]), tmp_path) as bank:
        handle = await bank.start(LongBanker, budget=Budget(model_calls=9))
        outcome = await handle.result()
        assert await executions(handle) > 1
    assert (outcome.status, outcome.usage.model_calls) == ("budget_exhausted", 9)


async def test_no_write_is_taken_for_one_of_an_execution_before(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    pays = [call("pay", account="alice", amount="5.00")] * 9
    async with serving(temporal, ScriptedModel([*pays, DONE]), tmp_path) as bank:
        handle = await bank.start(LongBanker)
        outcome = await handle.result()
        assert await executions(handle) > 1
    assert outcome.status == "completed"
    assert bank.bank.paid == [("alice", "5.00")] * 9


async def test_rules_see_the_outputs_of_executions_before(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    pays = [call("pay", account="bob", amount="5.00")] * 2
    last = [call("pay", account="bob", amount="6.00")] * 2
    async with serving(temporal, ScriptedModel([*pays, *LOOKS, *last, DONE]), tmp_path) as bank:
        handle = await bank.start(LongBanker)
        outcome = await handle.result()
        assert await executions(handle) > 1
    assert bank.bank.paid == [("bob", "5.00"), ("bob", "5.00"), ("bob", "6.00")]
    assert outcome.tool_calls[-1].error == "denied: rule often: bob was paid three times"


async def has_continued(bank: Harness, handle: WorkflowHandle[Any, Any]) -> None:
    """Bother a run that waits for people until it continues as new."""
    for number in range(400):
        await handle.signal("nonsense", number)
        if number % 20 == 0 and await executions(handle) > 1:
            return
    raise AssertionError("it did not continue as new")


async def test_an_open_approval_is_taken_along_with_who_agreed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="2000.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(LongBanker)
        before = await bank.pending(handle)
        await bank.agents.approve(handle.id, before.id, by="ann")
        await has_continued(bank, handle)
        after = await bank.pending(handle)
        assert after == before.model_copy(update={"approved_by": ("ann",), "consents": (Consent(by="ann"),)})
        assert bank.bank.paid == []
        receipt = await bank.agents.approve(
            handle.id, before.id, by="bob", arguments_hash=before.arguments_hash
        )
        outcome = await handle.result()
    assert receipt.status == "approved"
    assert bank.bank.paid == [("alice", "2000.00")]
    assert outcome.tool_calls[0].approved_by == ("ann", "bob")


async def test_calls_of_the_same_turn_are_carried_out_once_each(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    turn = calls(
        ("balance", {"account": "alice"}),
        ("pay", {"account": "alice", "amount": "600.00"}),
        ("pay", {"account": "carol", "amount": "1.00"}),
        ("balance", {"account": "bob"}),
    )
    model = ScriptedModel([turn, DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        await has_continued(bank, handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
    assert bank.bank.paid == [("alice", "600.00"), ("carol", "1.00")]
    assert bank.bank.looks == ["alice", "bob"]
    assert [summary.tool for summary in outcome.tool_calls] == ["balance", "pay", "pay", "balance"]
    answers = model.requests[-1].messages[2:]
    assert [message.tool_call_id for message in answers] == ["call_1", "call_2", "call_3", "call_4"]  # type: ignore[union-attr]


async def test_signals_that_arrive_while_it_continues_are_not_lost(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="2000.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(LongBanker)
        request = await bank.pending(handle)
        noise = [handle.signal("nonsense", number) for number in range(300)]
        votes = [handle.signal("approve", {"approval_id": request.id, "by": by}) for by in ("ann", "bob")]
        await asyncio.gather(*noise[:150], votes[0], *noise[150:], votes[1])
        outcome = await handle.result()
        assert await executions(handle) > 1
    assert bank.bank.paid == [("alice", "2000.00")]
    assert sorted(outcome.tool_calls[0].approved_by) == ["ann", "bob"]


async def test_a_worker_with_nothing_takes_up_a_run_that_continued(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([*LOOKS, call("pay", account="alice", amount="600.00"), DONE])
    async with serving(temporal, model, tmp_path, blobs=DirectoryBlobStore(tmp_path / "1")) as first:
        handle = await first.start(LongBanker)
        request = await first.pending(handle)
        assert await executions(handle) > 1
    # Its store is empty: the conversation comes from the histories of all executions.
    async with serving(
        temporal, model, tmp_path, blobs=DirectoryBlobStore(tmp_path / "2"), queue=first.task_queue
    ) as second:
        await second.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
    assert outcome.status == "completed"
    assert len(model.requests[-1].messages) == 1 + 2 * 13


async def test_a_release_that_takes_up_a_run_of_another_is_on_record_and_the_run_keeps_its_prices(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="600.00"), *LOOKS, DONE])
    async with serving(temporal, model, tmp_path) as first:
        handle = await first.start(LongBanker)
        request = await first.pending(handle)
    dearer = {TEST_MODEL: ModelPrice(input_usd_per_mtok=Decimal(100), output_usd_per_mtok=Decimal(400))}
    async with serving(temporal, model, tmp_path, queue=first.task_queue, prices=dearer) as second:
        await second.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
        assert await executions(handle) > 1
        noted = [record.detail for record in await second.agents.decisions(handle.id)]
    (changed,) = {detail for detail in noted if "of release" in detail}
    assert f"the run began with {outcome.release}" in changed
    # At the new prices it would be a hundred times as much.
    assert Decimal("0.001") < outcome.usage.cost_usd < Decimal("0.05")


async def test_control_flow_of_its_own_continues_at_its_checkpoints(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path) as bank:
        handle = await bank.start(Stepper, 12)
        outcome = await handle.result()
        assert await executions(handle) > 1
    assert outcome.output == [f"paid {number}.00 to alice" for number in range(12)]
    assert bank.bank.paid == [("alice", f"{number}.00") for number in range(12)]


async def test_nobody_may_start_a_run_with_a_state_of_their_own(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    forged = CarriedRun(
        started_at="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
        manifest=Manifest(
            agent="LongBanker",
            release=Release(version="1", proven_models=("scripted:model",)),
            release_id="1",
            tier="dev",
            models=(),
            root=Sha256("0" * 64),
            chain="first",
            agentflow_version="0",
        ),
        executions=1,
        transcript=CarriedTranscript(head=None),
        turn=1,
        call_index=1,
        approvals=0,
        escalations=0,
        settled=Spend(),
        possibly_billed_usd=0,  # type: ignore[arg-type]
    )
    model = ScriptedModel([DONE])
    async with serving(temporal, model, tmp_path) as bank:
        outcome = await bank.run(LongBanker, carried=forged)
    assert (outcome.status, model.requests) == ("denied", [])
    assert "may not bring the state of a run" in outcome.reason


@pytest.fixture(scope="module")
async def strict() -> AsyncIterator[WorkflowEnvironment]:
    """A server that suggests to continue as new at 40 events, and ends a workflow at 120."""
    limits = {"suggestContinueAsNew": 40, "warn": 60, "error": 120}
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=[
            argument
            for name, events in limits.items()
            for argument in ("--dynamic-config-value", f"limit.historyCount.{name}={events}")
        ],
    )
    async with environment:
        yield environment


async def test_temporals_limits_are_never_reached(strict: WorkflowEnvironment, tmp_path: Path) -> None:
    model = ScriptedModel([*LOOKS, call("pay", account="alice", amount="600.00"), *LOOKS, DONE])
    async with serving(strict, model, tmp_path, search_attributes="off") as bank:
        handle = await bank.start(SuggestedBanker)
        request = await bank.pending(handle)

        async def has_settled() -> bool | None:
            return True if (await timers_of(handle, soon=True)).fired else None

        for _ in range(6):
            # From then on it looks how long its history is.
            await eventually(has_settled)
            await asyncio.gather(*(handle.signal("nonsense", number) for number in range(25)))
            # The worker has seen them: what nobody takes up would reach the limit whatever the run does.
            await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
        chain = await executions(handle)
    assert outcome.status == "completed"
    assert chain > 4


async def test_each_execution_has_what_is_left_of_the_wall_time(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(skipping, ScriptedModel([]), tmp_path, client=skipping.client) as bank:
        handle = await bank.start(Patient)
        outcome = await handle.result()
        first, second, third = [history.events for history in (await chain(handle))[:3]]
    assert outcome.status == "timed_out"
    for events in (second, third):
        gone = events[0].event_time.seconds - first[0].event_time.seconds
        timers = [event.timer_started_event_attributes for event in events]
        # The steps' own timers take five minutes each.
        left = max(timer.start_to_fire_timeout.seconds for timer in timers if timer.timer_id)
        assert abs(left - (7_200 - gone)) <= 2
