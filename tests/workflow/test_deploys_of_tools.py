"""What becomes of a run's calls where a deploy took their tool away, or put another one in its place."""

from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, Resolution, ToolContext, tool
from agentflow.contracts.escalation import Escalation
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, serving
from tests.workflow.tools import Bank

DONE = answer({"account": "alice", "amount": "10.00"})
PAY = call("pay", account="alice", amount="10.00")
LOOK = call("balance", account="alice")
WIRE = call("wire", account="alice", amount="10.00")


class OtherBank:
    """Wants more to pay, and another kind of account to look."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, str]] = []
        self.looks: list[str] = []

    @tool(effect="write", recovery="key")
    async def pay(self, context: ToolContext, account: str, amount: str, reference: str) -> str:
        """Pay an amount to an account."""
        self.paid.append((account, amount))
        return "paid"

    @tool(effect="read")
    async def balance(self, account: int) -> str:
        """The balance of an account."""
        self.looks.append(str(account))
        return "nothing"


class WiringOtherwise:
    """Its wire can be asked, and knows nothing of what the one before it did."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, str]] = []

    @tool(effect="write", recovery="key")
    async def wire(self, context: ToolContext, account: str, amount: str) -> str:
        """Wire an amount."""
        self.paid.append((account, amount))
        return "wired"


class Closed:
    """Has no tools any more."""


async def _refused_and_guided(bank: Harness) -> tuple[Escalation, AgentOutcome[Any]]:
    """What a person is asked, and what becomes of the run once they say to leave it."""
    handle = await bank.start(Banker)
    escalation = await bank.escalation(handle)
    await bank.agents.resolve(handle.id, Resolution(action="guide", by="ann", text="leave it"))
    return escalation, await handle.result()


async def test_a_write_that_takes_other_arguments_by_now_is_refused_and_certainly_not_made(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([PAY, DONE]), tmp_path, bank=OtherBank()) as bank:
        escalation, outcome = await _refused_and_guided(bank)
    assert escalation.effect is None
    assert "did not happen" in escalation.reason
    assert "a deploy changed it" in escalation.reason
    assert (outcome.status, bank.bank.paid) == ("completed", [])


async def test_a_read_that_takes_other_arguments_by_now_is_refused_and_a_person_is_asked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([LOOK, DONE]), tmp_path, bank=OtherBank()) as bank:
        escalation, outcome = await _refused_and_guided(bank)
    assert "a deploy changed it" in escalation.reason
    assert (outcome.status, bank.bank.looks) == ("completed", [])


async def _decided_after_the_deploy(temporal: WorkflowEnvironment, tmp_path: Path, after: object) -> Bank:
    model = ScriptedModel([WIRE, DONE])
    queue = f"deploys-{type(after).__name__}"
    async with serving(temporal, model, tmp_path, queue=queue) as before:
        handle = await before.start(Banker)
        escalation = await before.escalation(handle)
    assert escalation.effect is not None
    async with serving(temporal, model, tmp_path, queue=queue, bank=after) as later:
        said = Resolution(action="happened", by="ann", result="wired", text="it is on the statement")
        await later.agents.resolve(handle.id, said)
        outcome = await handle.result()
    assert outcome.status == "completed"
    assert [(one.tool, one.effect, one.error) for one in outcome.tool_calls] == [("wire", "done", None)]
    return before.bank


async def test_what_a_person_says_of_a_write_in_doubt_counts_where_its_tool_is_gone(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    before = await _decided_after_the_deploy(temporal, tmp_path, Closed())
    assert before.paid == [("alice", "10.00")]


async def test_what_a_person_says_of_a_write_in_doubt_counts_where_its_tool_is_another_one(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    after = WiringOtherwise()
    before = await _decided_after_the_deploy(temporal, tmp_path, after)
    assert (before.paid, after.paid) == ([("alice", "10.00")], [])
