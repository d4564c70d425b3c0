from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from agentflow import ToolError
from agentflow.contracts.escalation import Resolution
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.chatting_agents import Circling
from tests.workflow.harness import replayed, serving

DONE = answer({"account": "alice", "amount": "10.00"})
LOOK = call("balance", account="alice")
GUIDE = Resolution(action="guide", by="otto", text="stop looking")


async def test_the_same_call_too_often_goes_to_a_person_and_is_not_made(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([*[LOOK] * 4, DONE]), tmp_path) as bank:
        handle = await bank.start(Circling)
        escalation = await bank.escalation(handle)
        assert escalation.reason == "the model calls balance with the same arguments for the 4th time"
        await bank.agents.resolve(handle.id, GUIDE)
        outcome = await handle.result()
        history = await handle.fetch_history()
    assert outcome.status == "completed"
    assert len(bank.bank.looks) == 3
    assert outcome.tool_calls[-1].error == (
        "failed: the model calls balance with the same arguments for the 4th time. otto says: stop looking"
    )
    await replayed(history)


async def test_failures_in_a_row_go_to_a_person(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    looks = [call("balance", account=name) for name in ("alice", "bob", "carol")]
    async with serving(temporal, ScriptedModel([*looks, DONE]), tmp_path) as bank:
        bank.bank.failures = [ToolError("closed"), ToolError("closed")]
        handle = await bank.start(Circling)
        escalation = await bank.escalation(handle)
        assert escalation.reason == "2 calls in a row have failed"
        assert escalation.answerable
        answered = Resolution(action="answer", by="otto", answer={"account": "bob", "amount": "1.00"})
        await bank.agents.resolve(handle.id, answered)
        outcome = await handle.result()
    assert outcome.output == {"account": "bob", "amount": "1.00"}


async def test_turns_in_which_nothing_new_is_said_go_to_a_person(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    looks = [call("glance", account="alice"), call("glance", account="bob")]
    again = [call("glance", account="alice"), call("glance", account="bob")]
    async with serving(temporal, ScriptedModel([*looks, *again, *again, DONE]), tmp_path) as bank:
        handle = await bank.start(Circling)
        escalation = await bank.escalation(handle)
        assert escalation.reason == "nothing new has come of 4 turns"
        await bank.agents.resolve(handle.id, GUIDE)
        assert (await handle.result()).status == "completed"
