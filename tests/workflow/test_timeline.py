"""A run's timeline is read from its history alone: what it did, why, how long it took, what it cost."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.history.executions import Histories
from agentflow.adapters.run_timeline import timeline_of
from agentflow.contracts.timeline import Step, Timeline
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.chatting_agents import Local
from tests.workflow.harness import serving
from tests.workflow.parent_agents import Child, Parent

DONE = answer({"account": "alice", "amount": "10.00"})
LOOK = call("balance", account="alice")
HUGE = call("pay", account="alice", amount="2000.00")


def lines(found: Timeline) -> list[tuple[str, str, str]]:
    return [(step.kind, step.name, step.state) for step in found.steps]


def one(found: Timeline, kind: str, name: str) -> Step:
    (step,) = [step for step in found.steps if (step.kind, step.name) == (kind, name)]
    return step


async def test_a_run_is_told_step_by_step_without_a_worker(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([LOOK, HUGE, DONE]), tmp_path) as bank:
        bank.bank.failures = [RuntimeError("busy")]
        handle = await bank.start(Banker, "secret words", tenant="acme")
        asked = await bank.pending(handle)
        await bank.agents.approve(handle.id, asked.id, by="ann")
        await handle.signal("approve", {"approval_id": asked.id, "by": "bob"})
        outcome = await handle.result()
    found = await timeline_of(bank.client, handle.id)
    assert lines(found) == [
        ("started", "Banker", "done"),
        ("other", "manifest", "done"),
        ("model", "scripted:model", "done"),
        ("tool", "balance", "done"),
        ("model", "scripted:model", "done"),
        ("approval", "pay", "done"),
        ("update", "approve", "done"),
        ("signal", "approve", "done"),
        ("tool", "pay", "done"),
        ("model", "scripted:model", "done"),
        ("ended", "completed", "done"),
    ]
    assert one(found, "started", "Banker").detail == "for rita (not verified), tenant acme"
    assert one(found, "tool", "balance").attempts == 2
    assert one(found, "tool", "pay").detail == "rule large, huge, granted by ann, bob"
    assert one(found, "approval", "pay").detail == "approval-1, rule large, huge"
    assert (one(found, "approval", "pay").seconds or 0) > 0
    assert one(found, "update", "approve").detail == "approval-1 by ann"
    assert (found.is_open, found.executions, found.workflow_type) == (False, 1, "Banker")
    costs = [step.cost_usd for step in found.steps if step.cost_usd is not None]
    assert sum(costs) == outcome.cost_usd
    assert "secret words" not in found.model_dump_json()
    assert "alice" not in found.model_dump_json()


async def test_what_was_said_is_there_where_it_is_asked_for(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([LOOK, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, "secret words")
        await handle.result()
    found = await timeline_of(bank.client, handle.id, content=True)
    assert one(found, "started", "Banker").content == "secret words"
    look = one(found, "tool", "balance").content
    assert isinstance(look, dict)
    assert look["arguments"] == {"account": "alice"}
    assert one(found, "ended", "completed").content == {"account": "alice", "amount": "10.00"}


async def test_an_open_run_shows_what_it_is_at(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([HUGE, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.pending(handle)
        found = await timeline_of(bank.client, handle.id)
        assert found.is_open
        assert lines(found)[-1] == ("approval", "pay", "open")
        await handle.terminate()
        ended = await timeline_of(bank.client, handle.id)
    assert lines(ended)[-1] == ("ended", "cancelled", "cancelled")


async def test_the_executions_of_a_long_run_are_one_timeline(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([*[LOOK] * 12, DONE]), tmp_path) as bank:
        handle = await bank.start(LongBanker)
        await handle.result()
        found = await timeline_of(bank.client, handle.id)
    assert found.executions > 1
    kinds = [step.kind for step in found.steps]
    assert (kinds.count("model"), kinds.count("tool")) == (13, 12)
    assert kinds.count("continued") == found.executions - 1
    # Of a brief that is named by hash only, the price is known all the same.
    assert all(step.cost_usd for step in found.steps if step.kind == "model")


async def test_a_failed_step_says_by_which_error_and_not_its_text(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([LOOK, DONE]), tmp_path) as bank:
        bank.bank.failures = [RuntimeError("card of Anna Meier")] * 3
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        found = await timeline_of(bank.client, handle.id)
        await handle.terminate()
    step = one(found, "tool", "balance")
    assert (step.state, step.attempts) == ("failed", 3)
    assert step.detail == "rule default; failed: RuntimeError"
    assert "Anna Meier" not in found.model_dump_json()


async def test_a_local_tool_is_in_the_timeline(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(
        temporal, ScriptedModel([call("glance", account="alice"), answer("ok")]), tmp_path
    ) as bank:
        handle = await bank.start(Local)
        await handle.result()
        found = await timeline_of(bank.client, handle.id)
    local: list[Any] = [step for step in found.steps if step.detail == "local"]
    assert [step.kind for step in local] == ["tool"]


async def test_a_run_that_another_started_is_below_it(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(
        temporal, ScriptedModel([answer("hello")]), tmp_path, workflows=[Parent, Child]
    ) as bank:
        handle = await bank.start(Parent)
        await handle.result()
        found = await timeline_of(bank.client, handle.id)
    assert one(found, "child", "Child").detail == f"{handle.id}-child"
    (child,) = found.children
    assert (child.workflow_type, child.steps[-1].name) == ("Child", "completed")
    assert [step.kind for step in child.steps].count("model") == 1
    assert (await timeline_of(bank.client, handle.id, depth=0)).children == ()


async def test_who_looks_again_reads_only_what_has_grown(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    fetch = WorkflowHandle.fetch_history

    async def counted(handle: WorkflowHandle[Any, Any], **options: Any) -> WorkflowHistory:
        read.append(handle.id)
        return await fetch(handle, **options)

    async with serving(temporal, ScriptedModel([HUGE, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        asked = await bank.pending(handle)
        monkeypatch.setattr(WorkflowHandle, "fetch_history", counted)
        histories = Histories(bank.client)
        looks = [await timeline_of(bank.client, handle.id, histories=histories) for _ in range(3)]
        assert len(read) == 1
        assert looks[0] == looks[2]
        for name in ("ann", "bob"):
            await bank.agents.approve(handle.id, asked.id, by=name)
        await handle.result()
        assert not (await timeline_of(bank.client, handle.id, histories=histories)).is_open
        assert len(read) == 2
