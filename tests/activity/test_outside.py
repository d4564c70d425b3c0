"""An imported tool is carried out by the import that the run has, and by no other."""

from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from agentflow import ToolContext
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outside import OutsideTool, UnusableOutput
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import ToolContract, ToolInvocation, ToolResult
from agentflow.contracts.wire import Json, Sha256, ToolCallId
from agentflow.core.idempotency import arguments_hash
from agentflow.core.imported import ImportedTool
from agentflow.core.mcp_tools import mcp_contract
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS

KEY = Sha256("a" * 64)
LISTED = {
    "name": "note",
    "description": "Adds a note",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}, "id": {"type": "string"}}},
    "annotations": {"destructiveHint": False},
}
NOTE = ImportedTool(mcp_contract("notes", LISTED))


class Server:
    def __init__(self, answer: Json = "noted") -> None:
        self.answer = answer
        self.calls: list[dict[str, Json]] = []

    async def call(self, contract: ToolContract, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        self.calls.append(dict(arguments))
        return self.answer

    async def drift(self, contract: ToolContract) -> str | None:
        return None


async def carried_out(server: Server, tool: ImportedTool, source: str | None, **arguments: Any) -> ToolResult:
    made = OutsideTool(tool, server.call, server.drift)
    run = tool_activity(made, LedgerCalls(MemoryLedger(), TEST_SEAL_KEYS), MemoryBlobStore())
    name = tool.contract.name
    allowed = Decision(
        verdict="allow", rule="r", reason="", arguments_hash=arguments_hash(name, dict(arguments))
    )
    invocation = ToolInvocation(
        call_id=ToolCallId("c"),
        arguments=arguments,
        decision=allowed,
        ledger_key=KEY,
        source=None if source is None else Sha256(source),
    )
    return await ActivityEnvironment().run(run, invocation)


async def test_the_same_import_is_carried_out() -> None:
    server = Server()
    result = await carried_out(server, NOTE, NOTE.source.digest, text="a")
    assert (result.output, server.calls) == ("noted", [{"text": "a"}])


@pytest.mark.parametrize("source", ["f" * 64, None])
async def test_another_import_than_the_runs_is_not_called(source: str | None) -> None:
    server = Server()
    with pytest.raises(ApplicationError, match="another import of it than the run") as refused:
        await carried_out(server, NOTE, source, text="a")
    assert refused.value.non_retryable
    assert server.calls == []


async def test_fixed_arguments_and_the_key_are_added_where_the_model_does_not_see_them() -> None:
    server = Server()
    tool = NOTE.adapted(fixed={"text": "always"}, key_argument="id")
    await carried_out(server, tool, tool.source.digest)
    assert server.calls == [{"text": "always", "id": KEY}]


async def test_an_answer_that_can_not_be_told_is_no_failure_of_a_write() -> None:
    result = await carried_out(Server(UnusableOutput("too long")), NOTE, NOTE.source.digest, text="a")
    assert result.error is not None
    assert (result.error.kind, "too long" in result.error.message) == ("invalid_output", True)


async def test_an_answer_off_its_schema_is_refused() -> None:
    result = await carried_out(Server({"no": "text"}), NOTE, NOTE.source.digest, text="a")
    assert result.error is not None
    assert result.error.kind == "invalid_output"
