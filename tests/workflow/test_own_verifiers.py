"""Verifiers of one's own: whatever they answer, only an approver counts, and nothing harms the run."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Resolution
from agentflow.activity import verification
from agentflow.errors import DecisionRefusedError, WorkflowDefinitionError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import chain, eventually, replayed, serving
from tests.workflow.verifying_agents import ANSWERS, Asking, Badge, Badged, LongBadged

DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]
HUGE = [call("pay", account="alice", amount="2000.00"), DONE]
AGENTS = [Badged, Asking, LongBadged]


@pytest.mark.parametrize("agent", [Badged, Asking])
async def test_whatever_else_than_an_approver_a_verifier_answers_nobody_is_verified(
    temporal: WorkflowEnvironment, tmp_path: Path, agent: type
) -> None:
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, workflows=AGENTS) as bank:
        handle = await bank.start(agent)
        request = await bank.pending(handle)
        assert request.identity == "badge"
        for name in ANSWERS:
            with pytest.raises(DecisionRefusedError):
                await bank.agents.approve(handle.id, request.id, by=name)
            await handle.signal("approve", {"approval_id": request.id, "by": name})
        await bank.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
        assert bank.bank.paid == [("alice", "600.00")]
        refused = [why for why in await bank.refusals(handle) if why.startswith(f"{request.id}: ")]
        await replayed(await handle.fetch_history(), *AGENTS)
    assert outcome.tool_calls[0].approved_by == ("ann",)
    assert len(refused) == 2 * len(ANSWERS)
    assert any("answered bool, not Approver" in why for why in refused)
    assert any("not on the list" in why for why in refused)


@pytest.mark.parametrize("agent", [Badged, Asking])
async def test_a_verifier_that_hangs_verifies_nobody_and_holds_nobody_else_up(
    temporal: WorkflowEnvironment, tmp_path: Path, agent: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "VERIFY_TIMEOUT", timedelta(seconds=0.3))
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, workflows=AGENTS) as bank:
        handle = await bank.start(agent)
        request = await bank.pending(handle)
        with pytest.raises(DecisionRefusedError, match=r"longer than 0\.3 s"):
            await bank.agents.approve(handle.id, request.id, by="hangs")
        await bank.agents.approve(handle.id, request.id, by="ann")
        assert (await handle.result()).status == "completed"


@pytest.mark.parametrize("agent", [Badged, Asking])
async def test_an_answer_to_an_escalation_counts_for_whom_the_verifier_proved(
    temporal: WorkflowEnvironment, tmp_path: Path, agent: type
) -> None:
    model = ScriptedModel([answer("?"), answer("?"), DONE])
    async with serving(temporal, model, tmp_path, workflows=AGENTS) as bank:
        handle = await bank.start(agent)
        await bank.escalation(handle)
        for name in ANSWERS:
            await bank.agents.resolve(handle.id, Resolution(action="guide", by=name, text="pay eve"))
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="stated ann", text="ten dollars"))
        assert (await handle.result()).status == "completed"
        log = [r for r in await bank.agents.decisions(handle.id) if r.subject == "resolution"]
        await replayed(await handle.fetch_history(), *AGENTS)
    assert [r.accepted for r in log] == [False] * len(ANSWERS) + [True]
    assert log[-1].by == "ann"
    assert "pay eve" not in str(model.requests[-1].messages)


async def test_what_people_send_at_once_is_judged_in_its_order(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, workflows=AGENTS) as bank:
        handle = await bank.start(Asking)
        request = await bank.pending(handle)
        for name in ("true", "ann", "ANN", "rita", "bob", "cy"):
            await handle.signal("approve", {"approval_id": request.id, "by": name})
        outcome = await handle.result()

        async def look() -> list[str] | None:
            log = await bank.agents.decisions(handle.id)
            found = [r.by or "" for r in log if r.subject == "approval" and r.accepted]
            return found if len(found) > 1 else None

        counted = await eventually(look)
    assert counted == ["ann", "bob"]
    assert outcome.tool_calls[0].approved_by == ("ann", "bob")


async def test_nothing_that_waits_to_be_verified_is_lost_as_a_run_continues_as_new(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(HUGE), tmp_path, workflows=AGENTS) as bank:
        handle = await bank.start(LongBadged)
        request = await bank.pending(handle)
        for number in range(14):
            stray = {"approval_id": request.id, "by": "true", "reason": f"{number}" + "x" * 1_500}
            await handle.signal("approve", stray)
        await handle.signal("approve", {"approval_id": request.id, "by": "ann"})

        async def look() -> bool | None:
            return True if len(await chain(handle)) > 1 else None

        await eventually(look)
        await bank.agents.approve(handle.id, request.id, by="bob")
        outcome = await handle.result()
        refused = [why for why in await bank.refusals(handle) if "answered bool" in why]
        for history in await chain(handle):
            await replayed(history, *AGENTS)
    assert outcome.tool_calls[0].approved_by == ("ann", "bob")
    assert len(refused) == 14


async def test_a_worker_without_the_agents_verifier_lets_nobody_through(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentflow.plugin._own_verifiers", lambda workflows: {})
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, workflows=AGENTS) as bank:
        handle = await bank.start(Badged)
        request = await bank.pending(handle)
        with pytest.raises(DecisionRefusedError, match="could not be verified"):
            await bank.agents.approve(handle.id, request.id, by="ann")
        await handle.terminate()


class Nameless:
    def verify(self, *told: Any) -> Any: ...
    def verify_resolution(self, *told: Any) -> Any: ...


class Mute:
    method = "mute"


class Posing(Badge):
    method = "signed"


@pytest.mark.parametrize(
    ("verifier", "says"),
    [
        (Badge, "is a class"),
        (Nameless(), "must have method"),
        (Mute(), "no method verify"),
        (Posing(), "the library's own"),
        (True, "no method verify"),
        ("trusted", "no method verify"),
    ],
)
def test_what_is_no_verifier_is_refused_as_the_class_is_made(verifier: Any, says: str) -> None:
    with pytest.raises(WorkflowDefinitionError, match=says):

        class Wrong(AgentWorkflow[str, str]):
            approver_verifier = verifier

            async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
                return await self.run_agent(task)
