"""A tool as an activity of its own type: decision checked, effect recorded, output held to its contract."""

from collections.abc import Awaitable, Callable

import structlog
from opentelemetry.trace import Span
from temporalio import activity

from agentflow.activity.calling import ToolCaller
from agentflow.activity.effects import EffectOnce
from agentflow.activity.failures import NotBegunError, to_application_error
from agentflow.activity.heartbeat import heartbeating
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outliving import Keepers
from agentflow.activity.permits import Permits, permitted
from agentflow.activity.tally import Tally, call_did_nothing
from agentflow.activity.worker_tool import WorkerTool
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.contracts.wire import Json
from agentflow.core.catalog import what_it_takes
from agentflow.core.idempotency import arguments_hash, run_root
from agentflow.core.known_values import KnownValues
from agentflow.core.tags import TagFinder
from agentflow.core.transcript import text_hash, tool_text
from agentflow.errors import (
    ConfigurationError,
    EffectConflictError,
    SourceChangedError,
    ToolChangedError,
    ToolUnavailableError,
)
from agentflow.ports.blobs import BlobStore
from agentflow.telemetry import metrics, semconv
from agentflow.telemetry.content import SpanContent
from agentflow.telemetry.logs import KNOWN, failure
from agentflow.telemetry.spans import current_span

_LOG = structlog.get_logger("agentflow")

ToolActivity = Callable[[ToolInvocation], Awaitable[ToolResult]]


def tool_activity(
    tool: WorkerTool,
    ledger: LedgerCalls | None,
    blobs: BlobStore,
    content: SpanContent | None = None,
    permits: Permits = permitted,
    *,
    keepers: Keepers | None = None,
) -> ToolActivity:
    """Make what carries a tool's calls out, as an activity of the tool's own type.

    Args:
        tool: The tool.
        ledger: Record of side effects.
        blobs: Where texts go that chats name by their hash.
        content: Puts arguments and outputs into spans.
        permits: Asked by each attempt of what may write, right before the tool is called.
        keepers: Keep the records of what outlives its attempt; the worker's.

    Raises:
        ConfigurationError: the tool writes and there is no ledger, it lacks its probe, or it was taken from
            a class instead of an object.
    """
    caller = ToolCaller(tool)
    effects = effects_of(tool, ledger, caller, permits, keepers=keepers)
    execution = _Execution(caller, effects, blobs, content, permits)

    async def run(invocation: ToolInvocation) -> ToolResult:
        tally = Tally.begun()
        try:
            if activity.info().is_local:
                # Nobody hears it beat; its limit is short.
                result = await execution.traced(invocation)
            else:
                with heartbeating():
                    result = await execution.traced(invocation)
        except Exception as error:
            raise to_application_error(error, run_waits=True, billed=tally.billed) from None
        return result.model_copy(update={"billed": tally.billed})

    return run


def effects_of(
    tool: WorkerTool,
    ledger: LedgerCalls | None,
    caller: ToolCaller | None = None,
    permits: Permits = permitted,
    *,
    keepers: Keepers | None = None,
) -> EffectOnce | None:
    """What makes a tool's writes happen once; ``None`` for a read, which needs nothing.

    Raises:
        ConfigurationError: the tool writes and there is no ledger, or it lacks its probe.
    """
    check_carried_out(tool, has_ledger=ledger is not None)
    if tool.contract.effect == "read" or ledger is None:
        return None
    return EffectOnce(caller or ToolCaller(tool), ledger, permits, keepers or Keepers())


def check_carried_out(tool: WorkerTool, *, has_ledger: bool) -> None:
    """See that a worker can carry a tool's calls out.

    Raises:
        ConfigurationError: the tool writes and there is no ledger, it lacks its probe, or it was taken from
            a class instead of an object.
    """
    if not tool.is_bound:
        raise ConfigurationError(f"{tool!r} has no object: register tools_of(MyTools(...))")
    if tool.contract.effect == "read":
        return
    if not has_ledger:
        raise ConfigurationError(
            f"{tool!r} writes, so the plugin needs ledger=: without one a retry could do it twice"
        )
    if tool.contract.recovery == "probe" and not tool.has_probe:
        raise ConfigurationError(
            f'{tool!r} says recovery="probe": write its probe, an async function under @{tool.__name__}.probe'
        )


class _Execution:
    def __init__(
        self,
        caller: ToolCaller,
        effects: EffectOnce | None,
        blobs: BlobStore,
        content: SpanContent | None,
        permits: Permits,
    ) -> None:
        self._caller = caller
        self._contract = caller.contract
        self._effects = effects
        self._blobs = blobs
        self._content = content
        self._permits = permits
        self._takes = what_it_takes(caller.contract)
        self._argument_tags = TagFinder(caller.contract.input_schema)
        self._output_tags = TagFinder(caller.contract.output_schema)

    async def traced(self, invocation: ToolInvocation) -> ToolResult:
        contract = self._contract
        info = activity.info()
        KNOWN.set(KnownValues.of(invocation.known).plus(self._argument_tags.find(invocation.arguments)))
        labels = {semconv.OPERATION_NAME: semconv.EXECUTE_TOOL, semconv.TOOL_NAME: contract.name}
        attributes: dict[str, str | int] = {
            **labels,
            semconv.CONVERSATION_ID: info.workflow_id or "",
            semconv.TOOL_CALL_ID: invocation.call_id,
            semconv.EFFECT: contract.effect,
            semconv.DECISION_RULE: invocation.decision.rule,
            semconv.RULES: invocation.decision.rules or "",
            semconv.ATTEMPT: info.attempt,
            semconv.ACTIVITY_ID: info.activity_id,
        }
        with (
            current_span(f"{semconv.EXECUTE_TOOL} {contract.name}", attributes) as span,
            metrics.operation(labels) as measured,
        ):
            result = await self._checked(invocation)
            KNOWN.set(KNOWN.get().plus(self._output_tags.find(result.output)))
            self._tell_content(span, invocation, result)
            if contract.effect != "read":
                span.set_attribute(semconv.EFFECT_STATE, "done before" if result.replayed else "ended")
            if result.replayed:
                metrics.cache_hit("effect")
            if result.error:
                span.set_attribute(semconv.ERROR_TYPE, result.error.kind)
                measured[semconv.ERROR_TYPE] = result.error.kind
            return await self._kept(result)

    def _tell_content(self, span: Span, invocation: ToolInvocation, result: ToolResult) -> None:
        if self._content is not None and span.is_recording():
            told: Json = result.error.message if result.error else result.output
            span.set_attributes(self._content.arguments(invocation.arguments, KNOWN.get()))
            span.set_attributes(self._content.result(told, KNOWN.get()))

    async def _checked(self, invocation: ToolInvocation) -> ToolResult:
        """The decision travelled with the call; here it is checked once more against what will run."""
        binding = arguments_hash(self._contract.name, invocation.arguments)
        if invocation.decision.verdict != "allow" or invocation.decision.arguments_hash != binding:
            rule = invocation.decision.rule
            raise EffectConflictError(f"{self._contract.name} was not allowed with these arguments ({rule})")
        if (changed := self._changed_since(invocation)) is not None:
            if invocation.work is None:
                raise changed
            # While a fleet is deployed, another worker of the queue may have it as the run knows it.
            raise NotBegunError(changed, is_on_record=False)
        if self._effects is None:
            if self._contract.sure_effect != "read":
                # Its source calls it a read, and nobody here has said that it is.
                await self._permits(invocation)
            try:
                return await self._caller.call(invocation)
            except (ToolUnavailableError, SourceChangedError):
                call_did_nothing()
                raise
        return await self._effects.carry_out(invocation)

    def _changed_since(self, invocation: ToolInvocation) -> Exception | None:
        """What says that the tool is another one than when the run began."""
        name = self._contract.name
        if invocation.takes and invocation.takes != self._takes:
            return ToolChangedError(
                f"{name} takes other arguments, or has another effect, than when the run began: a deploy "
                "changed it, and what was decided on for another tool is not called"
            )
        if self._contract.import_digest != invocation.source:
            return SourceChangedError(
                f"{name}: this worker has another import of it than the run; deploy both anew"
            )
        return None

    async def _kept(self, result: ToolResult) -> ToolResult:
        """Put the text for the model into the store: the next chat names it by its hash."""
        info = activity.info()
        root = run_root(info.namespace, info.workflow_id or "")
        text = tool_text(result)
        raw = text.encode(errors="replace")
        blobs = {text_hash(text): raw}
        limit = self._contract.options.max_told_bytes
        if result.ok and len(raw) > limit:
            # The handle that the model is given names the whole.
            result = result.model_copy(update={"told_bytes": limit})
            told = tool_text(result)
            blobs[text_hash(told)] = told.encode(errors="replace")
        try:
            await self._blobs.put_all(root, blobs)
        except OSError as error:
            # The chat makes it anew from history.
            _LOG.warning("tool output not stored", tool=self._contract.name, **failure(error))
        return result
