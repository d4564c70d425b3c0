"""``AgentWorkflow``: the class that users subclass."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, cast

from pydantic_core import to_jsonable_python
from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from agentflow.contracts.approval import ApprovalOutcome, ApprovalRequest
from agentflow.contracts.budget import Budget
from agentflow.contracts.carried import CarriedTurn, HeldCall
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.manifest import Manifest, ManifestRequest, Release
from agentflow.contracts.messages import Label, ToolCall, UserMessage
from agentflow.contracts.model import ModelOptions, ToolOffer
from agentflow.contracts.outcome import AgentOutcome, Evidence, OutcomeStatus
from agentflow.contracts.rules import Quorum
from agentflow.contracts.task import AgentTask
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json, ToolCallId
from agentflow.core import evidence
from agentflow.core.answer import AnswerForm, answer_form
from agentflow.core.approvers import TrustedApprovers
from agentflow.core.budget import Purse, tightest
from agentflow.core.compaction import ClearToolOutputs, CompactionStrategy
from agentflow.core.idempotency import arguments_hash
from agentflow.core.outcome import shorter_and_shorter
from agentflow.core.policy import Rule
from agentflow.core.provenance import sources
from agentflow.core.transcript import tool_text
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
from agentflow.workflow.continuation import carry, is_due, take_up
from agentflow.workflow.definition import AgentDefinition, compile_definition
from agentflow.workflow.handlers import RunHandlers
from agentflow.workflow.loop import Continuation, ModelLoop
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
    compaction: ClassVar[CompactionStrategy | None] = ClearToolOutputs()
    """How a conversation gets shorter that outgrows its model's context; ``None`` leaves it to the provider,
    which refuses it."""
    max_history_bytes: ClassVar[int] = 4 * 1024 * 1024
    """A run whose history is longer continues as new, or earlier where Temporal suggests it. Temporal warns
    at 10 MiB, and ends a run at 50 MiB."""
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
        self._tool_calls = ToolCalls(
            self._run, self.approval_timeout, self.escalation_timeout, self._should_continue_as_new
        )
        self._task: AgentTask[InputT] | None = None
        self._carried_turn: CarriedTurn | None = None
        self._progress: Json = None

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
        """Do the task. The default lets the model work with the tools until it answers.

        The default continues as new by itself where the run gets long. An override says where it may, with
        ``checkpoint``.
        """
        carried, self._carried_turn = self._carried_turn, None
        if carried is None:
            self.tell(self._run.task_text())
        form = cast(AnswerForm[OutputT], self._definition.output_form)
        return await self._loop(form, self._definition.offers).answer(carried)

    async def preflight(self, task: AgentTask[InputT]) -> None:
        """Check the task before any model sees it; raise ``RunDenied`` to refuse it."""

    async def postflight(self, output: OutputT) -> None:
        """Check the output before it leaves; raise ``RunDenied`` to withhold it."""

    def tell(self, text: str, *, label: Label = "person") -> None:
        """Add a text to the conversation; the model sees it at its next call."""
        self._run.transcript = self._run.transcript.add(UserMessage(text=text, label=label))

    @property
    def progress(self) -> Json:
        """What ``checkpoint`` was given before the run continued as new; ``None`` until it does."""
        return self._progress

    async def checkpoint(self, progress: Json) -> None:
        """Let a run with a ``perform`` of its own continue as new here, if its history has become long.

        ``perform`` is then called again, in a new execution, and finds ``progress``. Conversation, budget,
        approvals and ledger keys go on as one run::

            async def perform(self, task: AgentTask[list[str]]) -> int:
                for number in range(self.progress or 0, len(task.input)):
                    await self.call_tool(archive, {"name": task.input[number]})
                    await self.checkpoint(number + 1)
                return len(task.input)

        Call it where no tool call is under way: otherwise it does nothing.
        """
        if self._run.is_lean and not self._tool_calls.under_way and is_due(self.max_history_bytes):
            self._continue_as_new(None, progress)

    async def chat(self, prompt: str, *, output_type: type[AnswerT]) -> AnswerT:
        """Ask the model for one answer of a type. No tools are on offer.

        An answer that doesn't fit goes back to the model once, then to a person, who may guide the
        model or supply the answer.

        Raises:
            BudgetExhausted: the call doesn't fit what is left.
            RunEscalated: a person aborted, or nobody came.
        """
        self.tell(prompt, label="instruction")
        return await self._loop(answer_form(output_type), ()).answer()

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
        result = await self._tool_calls.carry_out(HeldCall(call=call))
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
        run.open_approval(request)
        outcome = await run.await_approval(request)
        assert outcome is not None  # nothing else ends this wait
        return outcome

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
        self._task = task
        self._run.begin(task, purse)
        if task.carried is None:
            dispatch.sized("the task", task, self.max_input_bytes)
        elif workflow.info().continued_run_id is None:
            # Whoever starts a run could bring approvals, outputs and a budget of their own making.
            raise RunDenied("a task may not bring the state of a run: leave carried out")
        self._run.is_lean = self._run.visibility.is_lean = workflow.patched(dispatch.LEAN_RUNS)
        if task.carried is not None:
            take_up(self._run, task.carried)
            self._carried_turn, self._progress = task.carried.carried_turn, task.carried.progress
        self._run.has_taken_up()
        limit = purse.budget.wall_time
        left = limit - (workflow.now() - self._run.started_at) if limit else None
        clock = asyncio.timeout(max(left.total_seconds(), 0) if left is not None else None)
        try:
            async with clock:
                return await self._start_to_end(task)
        except TimeoutError:
            # A time-out of the agent's own is a bug of the agent's.
            if clock.expired():
                raise _WallTimeOverError from None
            raise

    async def _start_to_end(self, task: AgentTask[InputT]) -> OutputT:
        if task.carried is None:
            await self._pin()
            await self._checked("preflight", self.preflight(task))
        elif workflow.patched(dispatch.CONTINUED_RELEASE):
            await self._compare_release()
        output = await self.perform(task)
        await self._checked("postflight", self.postflight(output))
        return output

    async def _pin(self) -> None:
        """The run's first step: what it depends on is fixed from here on."""
        manifest = await self._manifest()
        self._run.pin(manifest)
        if manifest.problem:
            raise RunDenied(manifest.problem)

    async def _compare_release(self) -> None:
        """Record whose rules hold from here on: a worker of another release may have taken up the run.

        Models, prices and limits stay as the run was pinned.
        """
        pinned, present = self._run.manifest, await self._manifest()
        if present.release_id != pinned.release_id:
            self._run.note(
                "continuation",
                True,
                f"its code is of release {present.release_id} from here on; the run began with "
                f"{pinned.release_id}, whose models, prices and limits it keeps",
            )

    async def _manifest(self) -> Manifest:
        definition = self._definition
        request = ManifestRequest(
            agent=definition.name,
            models=definition.models,
            release=definition.release,
            tools_hash=definition.tools_hash,
        )
        return await dispatch.resolve_manifest(request)

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

    def _loop(self, form: AnswerForm[AnswerT], offers: tuple[ToolOffer, ...]) -> ModelLoop[AnswerT]:
        return ModelLoop(
            self._run,
            self._tool_calls,
            form,
            offers,
            escalation_timeout=self.escalation_timeout,
            compaction=self.compaction,
            continuation=Continuation(
                self._should_continue_as_new, lambda carried: self._continue_as_new(carried, None)
            ),
        )

    def _should_continue_as_new(self) -> bool:
        """Whether the run is at a place where it can, and its history has become long.

        The place in a ``perform`` of the agent's own can't be taken along: there it is ``checkpoint``.
        """
        return self._definition.performs_by_default and self._run.is_lean and is_due(self.max_history_bytes)

    def _continue_as_new(self, carried_turn: CarriedTurn | None, progress: Json) -> NoReturn:
        assert self._task is not None
        carried = carry(self._run, carried_turn, progress)
        task = self._task.model_copy(update={"carried": carried})
        self._run.log.info("continues as new", executions=carried.executions, turn=carried.turn)
        limit, advice = (
            self._run.manifest.max_payload_bytes,
            "; AgentflowPlugin(external_storage=) takes more",
        )
        workflow.continue_as_new(dispatch.sized("what the run takes along", task, limit, advice))

    def _outcome(
        self, status: OutcomeStatus, *, output: OutputT | None = None, reason: str = ""
    ) -> AgentOutcome[OutputT]:
        run = self._run
        whole = AgentOutcome(
            status=status,
            output=output,
            reason=reason,
            usage=run.purse.settled,
            cost_usd=run.cost_usd(),
            evidence=run.evidence,
            tool_calls=run.summaries,
            release=run.status().release,
            transcript_head=run.transcript.head,
        )
        outcome = whole
        for outcome in shorter_and_shorter(whole):
            # An outcome that is too long would fail the workflow task, which is retried for ever.
            if dispatch.fits(outcome, run.max_payload_bytes):
                break
        run.end(outcome.status, outcome.reason)
        return outcome


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
