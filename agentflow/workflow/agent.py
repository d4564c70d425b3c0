"""``AgentWorkflow``: the class that users subclass."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic_core import to_jsonable_python
from temporalio import workflow

from agentflow.contracts.approval import ApprovalOutcome
from agentflow.contracts.budget import Budget
from agentflow.contracts.carried import HeldCall
from agentflow.contracts.effects import EarlierEffects
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.manifest import Release
from agentflow.contracts.messages import Label, ToolCall, UserMessage
from agentflow.contracts.model import ModelOptions, ToolOffer
from agentflow.contracts.outcome import AgentOutcome, Evidence
from agentflow.contracts.rules import Quorum
from agentflow.contracts.task import AgentTask
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json, ToolCallId
from agentflow.core import evidence
from agentflow.core.action import Action, Asking
from agentflow.core.answer import AnswerForm, answer_form
from agentflow.core.canonical_calls import canonical_call
from agentflow.core.compaction import ClearToolOutputs, CompactionStrategy
from agentflow.core.known_values import KnownValues
from agentflow.core.rules import Rule, RuleSet
from agentflow.core.transcript import tool_text
from agentflow.ports.approvers import ApproverVerifier
from agentflow.ports.tooling import HasContract
from agentflow.workflow import waiting
from agentflow.workflow.agent_checks import declared
from agentflow.workflow.continuation import Continuation
from agentflow.workflow.definition import AgentDefinition, compile_definition
from agentflow.workflow.handlers import RunHandlers
from agentflow.workflow.lifecycle import Lifecycle
from agentflow.workflow.loop import ModelLoop
from agentflow.workflow.run import Run
from agentflow.workflow.tool_calls import ToolCalls
from agentflow.workflow.witness import Witness

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
    rules: ClassVar[RuleSet | Sequence[Rule]] = ()
    """What may run. Without a rule that allows it, a write is denied."""
    untrusted_input: ClassVar[tuple[str, ...]] = ()
    """JSON Pointers (RFC 6901) to the parts of the task's input that outsiders wrote, such as ``/body`` of a
    ticket: guards read them, and no rule takes them at their word."""
    budget: ClassVar[Budget] = Budget()
    release: ClassVar[Release] = Release(version="0")
    approval_timeout: ClassVar[timedelta] = timedelta(hours=24)
    """How long people have to decide on an action; then it is refused."""
    escalation_timeout: ClassVar[timedelta] = timedelta(hours=24)
    """How long people have to take over; then the run ends as ``escalated``."""
    loop_limits: ClassVar[LoopLimits] = LoopLimits()
    """When a person takes over a run that goes in circles."""
    compaction: ClassVar[CompactionStrategy | None] = ClearToolOutputs()
    """How a conversation gets shorter that outgrows its model's context; ``None`` leaves it to the provider,
    which refuses it."""
    max_history_bytes: ClassVar[int] = 4 * 1024 * 1024
    """A run whose history is longer continues as new, or earlier where Temporal suggests it. Temporal warns
    at 10 MiB, and ends a run at 50 MiB."""
    max_input_bytes: ClassVar[int] = 256 * 1024
    """Longest task, as JSON; a longer one is refused before anything is scheduled."""
    max_carried_bytes: ClassVar[int] = 8 * 1024 * 1024
    """Longest state, as JSON, that a run takes along when it continues as new: above all, outputs and
    arguments of its calls. A run with more ends denied. A state that is longer than a payload may be is in
    the blob store until the next execution has taken it up."""
    earlier_effects: ClassVar[EarlierEffects] = "ask"
    """What becomes of a write that an earlier run of the workflow id made with the same arguments: people are
    asked, it counts for this run's (``count``), or it is made ``again``. Each execution of a cron schedule is
    work of its own, which makes its writes again whatever this says."""
    approver_verifier: ClassVar[ApproverVerifier | None] = None
    """Tells who people are, in a way of your own; ``None`` is the way its worker is configured for. It is
    asked in a local activity, and what takes longer than some seconds, fails, or answers anything but an
    ``Approver`` or a ``Refusal`` counts for nobody."""

    _definition: ClassVar[AgentDefinition[Any]]
    _declared: ClassVar[dict[str, object]]
    """What the class was made with: a worker refuses one that was changed since."""

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        """Check the class when it is made; ``abstract=True`` is for a class that is only subclassed."""
        super().__init_subclass__(**kwargs)
        # For each run the sandbox makes the classes of its module anew: it needs one of them compiled.
        if not abstract and not workflow.unsafe.in_sandbox():
            cls._definition = compile_definition(cls)
            cls._declared = declared(cls)

    def __init__(self) -> None:
        if "_definition" not in vars(type(self)):
            type(self)._definition = compile_definition(type(self))
        self._run = Run(self._definition)
        self._continuation = Continuation(self._run)
        self._tool_calls = ToolCalls(self._run, self._continuation)

    def witnessed_by(self, witness: Witness | None) -> None:
        """Let an audit that replays the run see what it decides and spends. Not for agents."""
        self._run.witness = witness

    @property
    def known_values(self) -> KnownValues:
        """What the run has seen of values that types mark as personal or secret. Not for agents."""
        return self._run.redaction.known

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the run is pinned to and this class doesn't have. Not for agents."""
        return self._run.lacks

    async def run_agent(self, task: AgentTask[InputT]) -> AgentOutcome[OutputT]:
        """Run the agent, from the task to its outcome.

        Raises:
            ApplicationError: there is a bug in the agent; the run fails with its text.
        """
        lifecycle = Lifecycle(self._run, self._continuation, self)
        return await lifecycle.from_task_to_outcome(task)

    async def perform(self, task: AgentTask[InputT]) -> OutputT:
        """Do the task. The default lets the model work with the tools until it answers.

        The default continues as new by itself where the run gets long. An override says where it may, with
        ``checkpoint``.
        """
        carried = self._continuation.carried_turn()
        if carried is None:
            self.tell(self._run.task_text())
        definition = self._run.definition
        form = cast(AnswerForm[OutputT], definition.output_form)
        return await self._loop(form, definition.offers).answer(carried)

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
        return self._continuation.progress

    async def checkpoint(self, progress: Json) -> None:
        """Let a run with a ``perform`` of its own continue as new here, if its history has become long.

        ``perform`` is then called again, in a new execution, and finds ``progress``. Conversation, budget,
        approvals and ledger keys go on as one run::

            async def perform(self, task: AgentTask[list[str]]) -> int:
                for number in range(self.progress or 0, len(task.input)):
                    await self.call_tool(archive, {"name": task.input[number]})
                    await self.checkpoint(number + 1)
                return len(task.input)

        Call it where no call of a tool or a model is under way: otherwise it does nothing.
        """
        is_busy = self._tool_calls.under_way or self._run.purse.reservations
        if not is_busy:
            await self._continuation.checkpoint(progress)

    async def chat(self, prompt: str, *, output_type: type[AnswerT]) -> AnswerT:
        """Ask the model for one answer of a type. No tools are on offer.

        An answer that doesn't fit goes back to the model once, then to a person, who may guide the
        model or supply the answer.

        Raises:
            BudgetExhausted: the call doesn't fit what is left.
            RunEscalated: a person aborted, or the deadline passed.
        """
        self.tell(prompt, label="instruction")
        return await self._loop(answer_form(output_type), ()).answer()

    async def call_tool(
        self, tool: HasContract, /, arguments: Mapping[str, Any], *, tell: bool = True
    ) -> ToolResult:
        """Call a tool, if its contract, the rules and people let it.

        Args:
            tool: One of the class's ``tools``.
            arguments: By name; anything that pydantic can make JSON of. The tool's types read them in
                workflow code, so what runs in these must be as deterministic.
            tell: Whether the model sees the result at its next call. Rules and citations see it anyway.

        Returns:
            The output as JSON, or the error.

        Raises:
            BudgetExhausted: the call doesn't fit what is left.
            RunEscalated: it failed or its effect is unknown, and a person aborted or the deadline passed.
        """
        name = tool.contract.name
        call = ToolCall(
            id=ToolCallId(f"{name}-{self._run.call_index + 1}"),
            tool=name,
            arguments=cast(dict[str, Json], to_jsonable_python(dict(arguments))),
        )
        offered = self._run.definition.catalog.contracts.get(name)
        if offered is not None:
            call = canonical_call(call, tool, offered.input_schema, is_replayed=True)
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
        quorum = Quorum(people=people, roles=tuple(roles))
        deadline = workflow.now() + self._run.definition.approval_timeout
        asking = Asking("request_approval", reason, quorum, deadline)
        request = waiting.open_approval(self._run, Action(action, arguments), asking)
        outcome = await waiting.await_approval(self._run, request)
        assert outcome is not None  # nothing else ends this wait
        return outcome

    async def escalate(self, reason: str) -> Resolution:
        """Wait for a person to take over; their guidance is added to the conversation.

        Raises:
            RunEscalated: a person aborted, or the deadline passed.
        """
        resolution = await waiting.escalate(self._run, reason)
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

    def _loop(self, form: AnswerForm[AnswerT], offers: tuple[ToolOffer, ...]) -> ModelLoop[AnswerT]:
        return ModelLoop(
            self._run,
            self._tool_calls,
            form,
            offers,
            continuation=self._continuation,
        )
