"""A tool as an activity of its own type: decision checked, effect recorded, output held to its contract."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from opentelemetry import trace
from pydantic import ValidationError
from temporalio import activity

from agentflow.activity.context import ToolContext
from agentflow.activity.failures import to_application_error
from agentflow.activity.heartbeat import heartbeating
from agentflow.activity.tool import Tool
from agentflow.contracts.tools import ToolError as ToolProblem
from agentflow.contracts.tools import ToolErrorKind, ToolInvocation, ToolResult
from agentflow.contracts.wire import canonical_json
from agentflow.core.answer import describe_errors
from agentflow.core.idempotency import arguments_hash, run_root
from agentflow.core.schema import compile_schema
from agentflow.core.transcript import text_hash, tool_text
from agentflow.errors import (
    ConfigurationError,
    EffectConflictError,
    EffectUnknownError,
    ToolError,
    ToolUnavailableError,
)
from agentflow.ports.blobs import BlobStore
from agentflow.ports.ledger import EffectLedger
from agentflow.telemetry import semconv

_LOG = structlog.get_logger("agentflow")
_TRACER = trace.get_tracer("agentflow")

ToolActivity = Callable[[ToolInvocation], Awaitable[ToolResult]]


def tool_activity(tool: Tool[..., Any], ledger: EffectLedger | None, blobs: BlobStore) -> ToolActivity:
    """Make the activity that carries a tool's calls out.

    Raises:
        ConfigurationError: the tool writes and there is no ledger, or it was taken from a class
            instead of an object.
    """
    if not tool.is_bound:
        raise ConfigurationError(f"{tool!r} has no object: register tools_of(MyTools(...))")
    if tool.contract.effect != "read" and ledger is None:
        raise ConfigurationError(
            f"{tool!r} writes, so the plugin needs ledger=: without one a retry could do it twice"
        )
    execution = _Execution(tool, ledger, blobs)

    @activity.defn(name=tool.contract.name)
    async def run(invocation: ToolInvocation) -> ToolResult:
        try:
            async with heartbeating():
                return await execution.traced(invocation)
        except Exception as error:
            raise to_application_error(error) from None

    return run


class _Execution:
    def __init__(self, tool: Tool[..., Any], ledger: EffectLedger | None, blobs: BlobStore) -> None:
        self._tool = tool
        self._contract = tool.contract
        self._ledger = ledger
        self._blobs = blobs
        self._output_check = compile_schema(
            tool.contract.output_schema, f"output schema of tool {tool.contract.name}"
        )

    async def traced(self, invocation: ToolInvocation) -> ToolResult:
        contract = self._contract
        with _TRACER.start_as_current_span(f"{semconv.EXECUTE_TOOL} {contract.name}") as span:
            span.set_attributes(
                {
                    semconv.OPERATION_NAME: semconv.EXECUTE_TOOL,
                    semconv.TOOL_NAME: contract.name,
                    semconv.TOOL_CALL_ID: invocation.call_id,
                    semconv.EFFECT: contract.effect,
                    semconv.DECISION_RULE: invocation.decision.rule,
                    semconv.ATTEMPT: activity.info().attempt,
                }
            )
            result = await self._checked(invocation)
            if result.error:
                span.set_attribute(semconv.ERROR_TYPE, result.error.kind)
            return await self._stored(result)

    async def _checked(self, invocation: ToolInvocation) -> ToolResult:
        """The decision travelled with the call; here it is checked once more against what will run."""
        binding = arguments_hash(self._contract.name, invocation.arguments)
        if invocation.decision.verdict != "allow" or invocation.decision.arguments_hash != binding:
            rule = invocation.decision.rule
            raise EffectConflictError(f"{self._contract.name} was not allowed with these arguments ({rule})")
        if self._contract.effect == "read":
            return await self._call(invocation)
        return await self._write(invocation)

    async def _write(self, invocation: ToolInvocation) -> ToolResult:
        assert self._ledger is not None  # tool_activity refuses a write without one
        key = invocation.ledger_key
        entry = await self._ledger.begin(key, self._contract.name, invocation.decision.arguments_hash)
        if entry.result is not None:
            recorded = ToolResult.model_validate_json(entry.result)
            return recorded.model_copy(update={"replayed": True})
        if entry.state == "intended" and self._contract.recovery == "ask":
            raise EffectUnknownError(
                f"an earlier attempt of {self._contract.name} ended without a record; check at the outside "
                f"system whether it happened (key {key})"
            )
        try:
            result = await self._call(invocation)
        except ToolUnavailableError:
            # This attempt did nothing. One before it, of which only the intent is left, may have.
            if entry.state == "new":
                await self._ledger.withdraw(key)
            raise
        except Exception as error:
            if self._contract.recovery == "key":
                raise
            # Trying again could do it twice: only a person can know.
            raise EffectUnknownError(f"{type(error).__name__}: {error}") from error
        state = "failed" if result.error and result.error.kind != "invalid_output" else "done"
        await self._ledger.finish(key, state, result.model_dump_json().encode())
        return result

    async def _call(self, invocation: ToolInvocation) -> ToolResult:
        info = activity.info()
        context = ToolContext(
            call_id=invocation.call_id,
            idempotency_key=invocation.ledger_key,
            attempt=info.attempt,
            workflow_id=info.workflow_id or "",
            heartbeat=activity.heartbeat,
        )
        try:
            values = self._tool.read(invocation.arguments, context)
        except ValidationError as error:
            # Only here: raised by the tool itself, it says nothing of what the tool has done by then.
            return _error("invalid_arguments", describe_errors(error))
        try:
            returned = await self._tool.perform(values)
        except ToolError as refusal:
            return _error("failed", str(refusal))
        return self._held_to_contract(returned)

    def _held_to_contract(self, returned: object) -> ToolResult:
        try:
            output = self._tool.as_json(returned)
            size, limit = len(canonical_json(output)), self._contract.options.max_result_bytes
        except Exception as error:
            # The tool has done its work: whatever is wrong with its answer must not look like a failure.
            return _error("invalid_output", f"the output is not JSON: {error}")
        if problem := self._output_check(output):
            return _error("invalid_output", f"the output breaks its contract: {problem}")
        if size > limit:
            return _error("invalid_output", f"the output is {size} bytes; the limit is {limit} bytes")
        return ToolResult(output=output)

    async def _stored(self, result: ToolResult) -> ToolResult:
        """Put the text for the model into the store, so that the next chat can name it by its hash."""
        info = activity.info()
        text = tool_text(result)
        root = run_root(info.namespace, info.workflow_id or "")
        try:
            await self._blobs.put(root, text_hash(text), text.encode(errors="replace"))
        except OSError as error:
            _LOG.warning("tool output not stored", tool=self._contract.name, error=str(error)[:500])
            return result
        return result.model_copy(update={"stored": True})


def _error(kind: ToolErrorKind, message: str) -> ToolResult:
    # No payload can carry a lone surrogate, which the text of an error may quote.
    text = message[:4_000].encode(errors="replace").decode()
    return ToolResult(error=ToolProblem(kind=kind, message=text))
