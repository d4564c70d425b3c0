"""What happens when nobody comes: on a server that skips time."""

from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, Hasty
from tests.workflow.harness import serving

DONE = answer({"account": "alice", "amount": "10.00"})


async def test_an_approval_that_nobody_gives_is_refused_at_its_deadline(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="600.00"), DONE])
    async with serving(skipping, model, tmp_path) as bank:
        outcome = await bank.run(Banker)
        assert bank.bank.paid == []
    assert "expired" in (outcome.tool_calls[0].error or "")


async def test_a_late_approval_is_recorded_as_refused(skipping: WorkflowEnvironment, tmp_path: Path) -> None:
    script = [call("pay", account="alice", amount="600.00"), call("pay", account="bob", amount="700.00"), DONE]
    async with serving(skipping, ScriptedModel(script), tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        outcomes = [call.error for call in (await handle.result()).tool_calls]
    assert all("expired" in (error or "") for error in outcomes)


async def test_an_escalation_that_nobody_takes_ends_the_run_as_escalated(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(skipping, ScriptedModel([answer("?"), answer("?")]), tmp_path) as bank:
        outcome = await bank.run(Banker)
    assert outcome.status == "escalated"
    assert "nobody took over" in outcome.reason


async def test_a_run_that_takes_longer_than_its_wall_time_is_timed_out(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(skipping, ScriptedModel([]), tmp_path) as bank:
        outcome = await bank.run(Hasty)
    assert outcome.status == "timed_out"
    assert "1:00:00" in outcome.reason
