"""Tool calls of a model's answer in their canonical form, before the answer gets into history.

A tool's types may run code of their own, which no workflow should: a clock, a random id, a look-up. Here it
runs once, and what it made of the arguments is recorded with the answer, so that each replay finds the same.
"""

from collections.abc import Mapping, Sequence

from agentflow.activity.bounded import answered_by_thread
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.model import ToolOffer
from agentflow.contracts.wire import Json
from agentflow.core.canonical_calls import canonical_call
from agentflow.core.typed_arguments import writes_canonically
from agentflow.ports.tooling import HasContract

TYPES_SECONDS = 5.0
"""For all calls of an answer: the code in a tool's types is not for work."""


class CanonicalCalls:
    """Knows the types of the tools that a worker's agents have."""

    def __init__(
        self, agents: Mapping[str, Sequence[HasContract]] | None = None, tools: Sequence[HasContract] = ()
    ) -> None:
        """Take the tools.

        Args:
            agents: Those that each agent names, by workflow type.
            tools: Those that the worker carries out.
        """
        self._agents = agents or {}
        self._tools = tuple(tools)

    async def of(
        self, message: AssistantMessage, offers: Sequence[ToolOffer], workflow_type: str
    ) -> AssistantMessage:
        """The answer with the arguments of its calls as the tools get them.

        A call that can't be has a ``problem``; one that has one already stays as it is. So does one of a tool
        that isn't here; where its types aren't those on offer, it has the defaults on offer and is else as it
        was written. The worker that carries it out then refuses what isn't canonical.
        """
        if not message.tool_calls:
            return message
        offered = {offer.name: offer.input_schema for offer in offers}
        known = {
            call.id: tool
            for call in message.tool_calls
            if call.tool in offered and not call.problem and (tool := self._tool(call.tool, workflow_type))
        }
        if not known:
            return message

        def made() -> tuple[ToolCall, ...]:
            pairs = ((call, known.get(call.id)) for call in message.tool_calls)
            return tuple(_made(call, tool, offered[call.tool]) if tool else call for call, tool in pairs)

        if not any(writes_canonically(tool) and tool.types_run_code for tool in known.values()):
            # A thread takes ten times as long as what it would do.
            return message.model_copy(update={"tool_calls": made()})
        try:
            calls = await answered_by_thread(made, TYPES_SECONDS)
        except TimeoutError:
            problem = f"the tool's types took longer than {TYPES_SECONDS:g} s to read the arguments"
            calls = tuple(
                call.model_copy(update={"problem": problem}) if call.id in known else call
                for call in message.tool_calls
            )
        return message.model_copy(update={"tool_calls": calls})

    def _tool(self, name: str, workflow_type: str) -> HasContract | None:
        known = (*self._agents.get(workflow_type, ()), *self._tools)
        return next((tool for tool in known if tool.contract.name == name), None)


def _made(call: ToolCall, tool: HasContract, offered: Mapping[str, Json]) -> ToolCall:
    try:
        return canonical_call(call, tool, offered)
    except BaseException as error:
        # It is raised in a thread of its own: neither the worker nor the run may end by it.
        return call.model_copy(update={"problem": f"the tool's types raised {type(error).__name__}"})
