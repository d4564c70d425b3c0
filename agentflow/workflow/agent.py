"""``AgentWorkflow``: the class that users subclass."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar, assert_never, cast

from pydantic_core import to_jsonable_python
from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from agentflow.contracts.approval import ApprovalOutcome, ApprovalRequest
from agentflow.contracts.budget import Budget
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.manifest import ManifestRequest, Release
from agentflow.contracts.messages import Label, ToolCall, UserMessage
from agentflow.contracts.model import ModelOptions, ToolOffer
from agentflow.contracts.rules import Quorum
from agentflow.contracts.task import AgentOutcome, AgentTask, Evidence, OutcomeStatus
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json, ToolCallId
from agentflow.core import evidence, turn
from agentflow.core.answer import AnswerForm, answer_form
from agentflow.core.approvers import TrustedApprovers
from agentflow.core.budget import Purse, tightest
from agentflow.core.idempotency import arguments_hash
from agentflow.core.policy import Rule
from agentflow.core.provenance import sources
from agentflow.core.transcript import tool_message, tool_text
from agentflow.errors import (
    AgentflowError,
    BudgetExhausted,
    ConfigurationError,
    PayloadTooLargeError,
    RunDenied,
    RunEscalated,
    RunStopped,
)
from agentflow.ports.approvers import ApproverVerifier
from agentflow.ports.tooling import HasContract
from agentflow.workflow import dispatch
from agentflow.workflow.conversation import ask_model
from agentflow.workflow.definition import AgentDefinition, compile_definition
from agentflow.workflow.handlers import RunHandlers
from agentflow.workflow.run import Run
from agentflow.workflow.tool_calls import ToolCalls

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")
AnswerT = TypeVar("AnswerT")


class AgentWorkflow(RunHandlers, Generic[InputT, OutputT]):
    """An agent whose every run is a Temporal workflow.

    Subclass it, say the types of input and output, and write the three lines of ``run``::

        @workflow.defn
        class Greeter(AgentWorkflow[str, str]):
            instructions = "Greet the person by name."
            budget = Budget(cost_usd=Decimal("0.05"))

            @workflow.run
            async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
                return await self.run_agent(task)

    ``run_agent`` lets the model work with the tools until it gives an answer that fits ``OutputT``.
    For control flow of your own, override ``perform`` and use ``chat``, ``call_tool``,
    ``request_approval`` and ``escalate``: the loop is written with them.
    """

    instructions: ClassVar[str] = ""
    """The system prompt."""
    models: ClassVar[tuple[str, ...]] = ("default",)
    """Models, or aliases that the worker resolves; the preferred one first, cheaper ones after it."""
    model_options: ClassVar[ModelOptions] = ModelOptions()
    tools: ClassVar[Sequence[HasContract]] = ()
    rules: ClassVar[Sequence[Rule]] = ()
    """What may run. Without a rule that allows it, a write is denied."""
    budget: ClassVar[Budget] = Budget()
    release: ClassVar[Release] = Release(version="0")
    approval_timeout: ClassVar[timedelta] = timedelta(hours=24)
    """How long people have to decide on an action; then it is refused."""
    escalation_timeout: ClassVar[timedelta] = timedelta(hours=24)
    """How long people have to take over; then the run ends as ``escalated``."""
    max_input_bytes: ClassVar[int] = 256 * 1024
    """Longest task, as JSON; a longer one is refused before anything is scheduled."""
    approver_verifier: ClassVar[ApproverVerifier] = TrustedApprovers()

    _definition: ClassVar[AgentDefinition[Any]]

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        """Check the class when it is made; ``abstract=True`` is for a class that is only subclassed."""
        super().__init_subclass__(**kwargs)
        if not abstract:
            cls._definition = compile_definition(cls)

    def __init__(self) -> None:
        self._run = Run(self._definition, self.approver_verifier)
        self._tool_calls = ToolCalls(self._run, self.approval_timeout, self.escalation_timeout)

    async def run_agent(self, task: AgentTask[InputT]) -> AgentOutcome[OutputT]:
        """Run the agent, from the task to its outcome.

        Raises:
            ApplicationError: there is a bug in the agent; the run fails with its text.
        """
        try:
            output = await self._within_wall_time(task)
        except RunStopped as stop:
            return self._outcome(_status_of(stop), reason=stop.reason)
        except PayloadTooLargeError as error:
            return self._outcome("denied", reason=str(error))
        except ConfigurationError as error:
            return self._outcome("denied", reason=str(error))
        except _WallTimeOverError:
            limit = self._run.purse.budget.wall_time
            return self._outcome("timed_out", reason=f"the run took longer than its wall_time of {limit}")
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                return self._outcome("cancelled", reason="the run was cancelled")
            raise
        except Exception as bug:
            # Outside a FailureError it would fail the workflow task, which is retried for ever.
            text = f"{self._definition.name} failed: {type(bug).__name__}: {bug}"
            raise ApplicationError(text, type="AgentBug", non_retryable=True) from bug
        return self._outcome("completed", output=output)

    async def perform(self, task: AgentTask[InputT]) -> OutputT:
        """Do the task. The default lets the model work with the tools until it answers."""
        text = (
            task.input if isinstance(task.input, str) else tool_text(ToolResult(output=self._run.task_input))
        )
        self.tell(text)
        form = cast(AnswerForm[OutputT], self._definition.output_form)
        return await self._converse(form, self._definition.catalog.offers())

    async def preflight(self, task: AgentTask[InputT]) -> None:
        """Check the task before any model sees it; raise ``RunDenied`` to refuse it."""

    async def postflight(self, output: OutputT) -> None:
        """Check the output before it leaves; raise ``RunDenied`` to withhold it."""

    def tell(self, text: str, *, label: Label = "person") -> None:
        """Add a text to the conversation; the model sees it at its next call."""
        self._run.transcript = self._run.transcript.add(UserMessage(text=text, label=label))

    async def chat(self, prompt: str, *, output_type: type[AnswerT]) -> AnswerT:
        """Ask the model for one answer of a type. No tools are on offer.

        An answer that doesn't fit goes back to the model once, then to a person, who may guide the
        model or supply the answer.

        Raises:
            BudgetExhausted: the call doesn't fit what is left.
            RunEscalated: a person aborted, or nobody came.
        """
        self.tell(prompt, label="instruction")
        return await self._converse(answer_form(output_type), ())

    async def call_tool(
        self, tool: HasContract, /, arguments: Mapping[str, Any], *, tell: bool = True
    ) -> ToolResult:
        """Call a tool, if its contract, the rules and people let it.

        Args:
            tool: One of the class's ``tools``.
            arguments: By name; anything that pydantic can make JSON of.
            tell: Whether the model sees the result at its next call. Rules and citations see it anyway.

        Returns:
            The output as JSON, or the error.

        Raises:
            BudgetExhausted: the call doesn't fit what is left.
            RunEscalated: it failed or its effect is unknown, and a person aborted or nobody came.
        """
        name = tool.contract.name
        call = ToolCall(
            id=ToolCallId(f"{name}-{self._run.call_index + 1}"),
            tool=name,
            arguments=cast(dict[str, Json], to_jsonable_python(dict(arguments))),
        )
        result = await self._tool_calls.carry_out(call)
        if tell:
            # No model asked for this call, so it can't be told of it as the answer to one.
            self.tell(f"{name} ({call.id}): {tool_text(result)}", label=f"tool:{name}")
        return result

    async def request_approval(
        self,
        action: str,
        *,
        arguments: dict[str, Json],
        reason: str,
        people: int = 1,
        roles: Sequence[str] = (),
    ) -> ApprovalOutcome:
        """Ask people to agree to something that is no tool call, and wait for them.

        Args:
            action: What is to be done, in a word or two.
            arguments: What exactly; the approval is bound to it.
            reason: Why they are asked.
            people: How many different people must agree.
            roles: Each holds one of these; empty is any.
        """
        run = self._run
        request = ApprovalRequest(
            id=run.people.next_approval_id(),
            tool=action,
            tool_call_id=None,
            arguments=arguments,
            arguments_hash=arguments_hash(action, arguments),
            rule="request_approval",
            reason=reason,
            quorum=Quorum(people=people, roles=tuple(roles)),
            requested_by=run.task.requested_by,
            deadline=workflow.now() + self.approval_timeout,
            sources=sources(arguments, run.task_input, run.past_calls),
        )
        return await run.await_approval(request)

    async def escalate(self, reason: str) -> Resolution:
        """Wait for a person to take over; their guidance is added to the conversation.

        Raises:
            RunEscalated: a person aborted, or nobody came before the deadline.
        """
        resolution = await self._run.escalate(reason, self.escalation_timeout)
        self.tell(resolution.text)
        return resolution

    def cite(self, tool_call_id: str, pointer: str = "") -> Evidence | None:
        """Rest the outcome on a place in a recorded tool output.

        Args:
            tool_call_id: The call's id.
            pointer: JSON Pointer (RFC 6901) into its output.

        Returns:
            What is there, which is then part of the outcome; ``None`` when there is no such place.
        """
        found = evidence.cite(self._run.past_calls, tool_call_id, pointer)
        if found and found not in self._run.evidence:
            self._run.evidence = (*self._run.evidence, found)
        return found

    async def _within_wall_time(self, task: AgentTask[InputT]) -> OutputT:
        purse = Purse(tightest(self._definition.budget, task.budget))
        self._run.begin(task, purse)
        dispatch.check_size("the task", task, self.max_input_bytes)
        limit = purse.budget.wall_time
        clock = asyncio.timeout(limit.total_seconds() if limit else None)
        try:
            async with clock:
                return await self._start_to_end(task)
        except TimeoutError:
            # A time-out of the agent's own is a bug of the agent's.
            if clock.expired():
                raise _WallTimeOverError from None
            raise

    async def _start_to_end(self, task: AgentTask[InputT]) -> OutputT:
        definition = self._definition
        request = ManifestRequest(
            agent=definition.name,
            models=definition.models,
            release=definition.release,
            tools_hash=definition.tools_hash,
        )
        manifest = await dispatch.resolve_manifest(request)
        self._run.pin(manifest)
        if manifest.problem:
            raise RunDenied(manifest.problem)
        await self._checked("preflight", self.preflight(task))
        output = await self.perform(task)
        await self._checked("postflight", self.postflight(output))
        return output

    async def _checked(self, name: str, check: Any) -> None:
        """A check that fails in any way of its own refuses: it could not say yes."""
        try:
            await check
        except (RunStopped, FailureError, asyncio.CancelledError) as stop:
            self._run.note("check", False, f"{name}: {stop}")
            raise
        except Exception as error:
            self._run.note("check", False, f"{name} raised {type(error).__name__}: {error}")
            raise RunDenied(f"{name} could not decide: {type(error).__name__}: {error}") from error

    async def _converse(self, form: AnswerForm[AnswerT], offers: tuple[ToolOffer, ...]) -> AnswerT:
        """Let the model and the tools work until there is an answer of the form."""
        state = turn.TurnState(form)
        while True:
            match turn.decide(state):
                case turn.CallModel(correction):
                    if correction:
                        self.tell(f"That can't be used: {correction}. Try again.", label="instruction")
                    response = await ask_model(self._run, offers, form.schema, self.escalation_timeout)
                    state = turn.after_answer(
                        state, response.message, response.finish_reason, tools_offered=bool(offers)
                    )
                case turn.CallTools(calls):
                    state = turn.after_results(state, await self._carry_out_all(calls))
                case turn.Escalate(reason):
                    answerable = cast(AnswerForm[Json], form)
                    resolution = await self._run.escalate(reason, self.escalation_timeout, answerable)
                    state = self._resolved(state, resolution)
                case turn.Deny(reason):
                    raise RunDenied(reason)
                case turn.Finish(value):
                    return value
                case _ as never:  # pyright: ignore[reportUnnecessaryComparison]
                    assert_never(never)

    def _resolved(self, state: turn.TurnState[AnswerT], resolution: Resolution) -> turn.TurnState[AnswerT]:
        if resolution.action != "answer":
            self.tell(resolution.text)
            return turn.after_guidance(state)
        accepted = state.form.validate(resolution.answer)
        return replace(turn.after_guidance(state), answer=accepted)  # type: ignore[arg-type]

    async def _carry_out_all(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """Carry out the calls of a turn, in order; neighbouring reads in parallel."""
        results: list[ToolResult] = []
        for group in turn.parallel_groups(calls, self._definition.catalog):
            answers = await asyncio.gather(
                *(self._tool_calls.carry_out(call) for call in group), return_exceptions=True
            )
            for call, answer in zip(group, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                message = tool_message(call, answer)
                self._run.transcript = self._run.transcript.add(message, stored=answer.stored)
                results.append(answer)
        return results

    def _outcome(
        self, status: OutcomeStatus, *, output: OutputT | None = None, reason: str = ""
    ) -> AgentOutcome[OutputT]:
        run = self._run
        run.end(status, reason)
        release = run.status().release
        return AgentOutcome(
            status=status,
            output=output,
            reason=reason,
            usage=run.purse.settled,
            cost_usd=run.cost_usd(),
            evidence=run.evidence,
            tool_calls=run.summaries,
            release=release,
            transcript_head=run.transcript.head,
        )


class _WallTimeOverError(AgentflowError):
    """The run's wall time is over."""


def _status_of(stop: RunStopped) -> OutcomeStatus:
    match stop:
        case BudgetExhausted():
            return "budget_exhausted"
        case RunEscalated():
            return "escalated"
        case _:
            return "denied"
