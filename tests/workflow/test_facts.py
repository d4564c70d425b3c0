"""Facts that a worker saw are kept in history, whatever a worker's options say, and a replay judges nothing anew."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from agentflow.audit.replaying import ReplayedRuns
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import eventually, serving
from tests.workflow.outside_doors import pending_activity
from tests.workflow.slow_agents import SlowBank, SlowLooker

HISTORIES = Path(__file__).parents[1] / "replay" / "histories"
LOOKS = [call("look_slowly", account="alice"), answer({"account": "alice", "amount": "5.00"})]


async def test_a_forged_answer_is_not_believed_on_a_worker_that_activates_no_patches(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    options = {"patch_activation_callback": lambda asked: False}
    model = ScriptedModel(LOOKS)
    async with serving(
        temporal, model, tmp_path, bank=SlowBank(), workflows=[SlowLooker], worker=options
    ) as bank:
        handle = await bank.start(SlowLooker)

        async def is_looking() -> bool | None:
            pending = (await handle.describe()).raw_description.pending_activities
            return any(each.activity_type.name == "look_slowly" for each in pending) or None

        await eventually(is_looking)
        forged = await pending_activity(bank, handle)
        await forged.complete({"output": "eve has it all"})
        escalation = await bank.escalation(handle)
        await handle.terminate()
    assert "no worker of this fleet sealed the answer" in escalation.reason


@pytest.mark.parametrize("more", [0, 1, 2], ids=["as it came", "scheduled", "started"])
async def test_an_answer_that_no_worker_has_handled_yet_is_no_refusal_to_an_auditor(more: int) -> None:
    """A run whose workers are down ends in an answer; a replay has no keys to judge it by."""
    (recorded,) = HISTORIES.glob("*-reads-and-a-write.json")
    history = WorkflowHistory.from_json("run", recorded.read_text())
    answered = next(
        index
        for index, event in enumerate(history.events, start=1)
        if event.HasField("activity_task_completed_event_attributes")
    )
    cut = WorkflowHistory("run", history.events[: answered + more])
    async with ReplayedRuns([Banker], "default") as replays:
        movements = [await settled(replays, each) for each in (cut, history)]
    assert movements[0] == movements[1]


async def settled(replays: ReplayedRuns, history: WorkflowHistory) -> Any:
    """What the first call of the model came to."""
    told = await replays.told("run", history)
    return next(
        finding.facts["settled_usd"]
        for finding in told.findings
        if finding.facts.get("movement") == "settled"
    )
