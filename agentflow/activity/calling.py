"""A tool's function, called and held to its contract: what it takes, and what it may answer."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError
from temporalio import activity

from agentflow.activity.bounded import close_unawaited
from agentflow.activity.context import ToolContext
from agentflow.activity.tally import call_begins, probe_begins
from agentflow.activity.tool import DidNotHappen, Happened
from agentflow.activity.worker_tool import WorkerTool
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.tools import ToolContract, ToolErrorKind, ToolInvocation, ToolResult
from agentflow.contracts.tools import ToolError as ToolProblem
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.answer import describe_errors
from agentflow.core.canonical_arguments import NotCanonicalError
from agentflow.core.schema import compile_schema
from agentflow.errors import EffectUnknownError, ToolError


class ToolCaller:
    """Calls one tool. What comes of it is a ``ToolResult``; what the tool raises of its own is raised."""

    def __init__(self, tool: WorkerTool) -> None:
        self.contract: ToolContract = tool.contract
        self._tool = tool
        self._output_check = compile_schema(
            tool.contract.output_schema, f"output schema of tool {tool.contract.name}"
        )

    async def call(self, invocation: ToolInvocation, fencing_token: int = 0) -> ToolResult:
        """Call the tool. Its refusals, and arguments that its types refuse, are results."""
        try:
            values = self._values(invocation, fencing_token)
        except ValidationError as error:
            # Only here: raised by the tool itself, it says nothing of what the tool has done by then.
            return error_result("invalid_arguments", describe_errors(error))
        except NotCanonicalError as error:
            return error_result("invalid_arguments", str(error))
        call_begins()
        try:
            returned = await self._tool.perform(values)
        except ToolError as refusal:
            return error_result("failed", str(refusal))
        return self._held_to_contract(returned)

    async def probe(self, invocation: ToolInvocation, fencing_token: int = 0) -> ToolResult | None:
        """Ask the outside system for a call's effect: its result, or ``None`` if it did not happen.

        Raises:
            EffectUnknownError: the probe answered neither; taken for a no, it would have the call made again.
                Or it can't be asked, as the tool's types read other arguments than were decided on.
        """
        try:
            values = self._values(invocation, fencing_token)
        except (ValidationError, NotCanonicalError) as error:
            # It would ask for another call than the one that was made.
            raise EffectUnknownError(
                f"this worker's {self.contract.name} reads other arguments than were decided on, so its "
                "probe can't be asked"
            ) from error
        probe_begins()
        answer: object = await self._tool.ask_probe(values)
        if isinstance(answer, Happened):
            return self._held_to_contract(cast(Happened[object], answer).output)
        # Not one of a subclass: what it adds may be a doubt.
        if type(answer) is DidNotHappen:
            return None
        close_unawaited(answer)
        raise EffectUnknownError(
            f"the probe of {self.contract.name} answered {type(answer).__name__}, neither Happened nor "
            "DidNotHappen"
        )

    def told(self, output: Json) -> ToolResult:
        """An output that a person has told, held to the contract."""
        return self._checked(output)

    def recorded(self, record: EffectRecord) -> ToolResult:
        """The result in a record.

        One that doesn't fit today's contract is told as such: the effect happened, so the tool must not be
        called again for a better answer.
        """
        try:
            result = ToolResult.model_validate_json(record.result or "")
        except ValidationError:
            result = error_result("invalid_output", "the recorded result can't be read")
        if result.error is None and (problem := self._output_check(result.output)):
            # The contract has changed since, or the record was.
            result = error_result("invalid_output", f"the recorded result breaks the contract: {problem}")
        counted = record.detail if record.counts is not None else None
        return result.model_copy(update={"replayed": True, "counted": counted})

    def _values(self, invocation: ToolInvocation, fencing_token: int) -> Mapping[str, Any]:
        info = activity.info()
        context = ToolContext(
            call_id=invocation.call_id,
            idempotency_key=invocation.ledger_key,
            attempt=info.attempt,
            workflow_id=info.workflow_id or "",
            heartbeat=activity.heartbeat,
            fencing_token=fencing_token,
        )
        return self._tool.read(invocation.arguments, context)

    def _held_to_contract(self, returned: object) -> ToolResult:
        try:
            output = self._tool.as_json(returned)
        except Exception as error:
            # The tool has done its work: whatever is wrong with its answer must not look like a failure.
            return error_result("invalid_output", f"the output is not JSON: {error}")
        return self._checked(output)

    def _checked(self, output: Json) -> ToolResult:
        try:
            encoded, limit = canonical_json(output), self.contract.options.max_result_bytes
            # A lone surrogate is in no UTF-8 text, and so in no payload and no ledger.
            encoded.decode()
        except Exception as error:
            return error_result("invalid_output", f"the output is not JSON: {error}")
        if problem := self._output_check(output):
            return error_result("invalid_output", f"the output breaks its contract: {problem}")
        if len(encoded) > limit:
            said = f"the output is {len(encoded)} bytes; the limit is {limit} bytes"
            return error_result("invalid_output", said)
        return ToolResult(output=output)


def error_result(kind: ToolErrorKind, message: str) -> ToolResult:
    """A result without an output."""
    # No payload can carry a lone surrogate, which the text of an error may quote.
    text = message[:4_000].encode(errors="replace").decode()
    return ToolResult(error=ToolProblem(kind=kind, message=text))
