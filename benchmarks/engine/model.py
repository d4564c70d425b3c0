"""The model with the script, behind agentflow's port."""

import asyncio

from agentflow.contracts.budget import Usage
from agentflow.contracts.messages import AssistantMessage, ToolCall, UserMessage
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.wire import ToolCallId
from benchmarks.engine.script import turns_of

_USAGE = Usage(input_tokens=1_000, output_tokens=20)


class RecordReader:
    """Asks for the next record until all have been seen. Takes no time unless it is told to."""

    def __init__(self, seconds: float = 0) -> None:
        self._seconds = seconds

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Say the next line."""
        if self._seconds:
            await asyncio.sleep(self._seconds)
        first = call.messages[0]
        assert isinstance(first, UserMessage)
        turn = sum(1 for message in call.messages if message.kind == "tool")
        if turn >= turns_of(first.text):
            message, why = AssistantMessage(text="done"), "stop"
        else:
            wanted = ToolCall(
                id=ToolCallId(f"call_{turn + 1}"), tool="look_up", arguments={"number": turn + 1}
            )
            message, why = AssistantMessage(tool_calls=(wanted,)), "tool_calls"
        return ModelAnswer(
            message=message, usage=_USAGE, response_model=call.model.name.partition(":")[2], finish_reason=why
        )
