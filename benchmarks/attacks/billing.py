"""An outside system that bills each call, and a run whose budget it is to pass by faults at every point.

The tool's and the inquiry's activities are the library's own, on a ledger in memory whose clock is moved; so
is what a run reserves, settles and does next. Temporal's part, attempts and their ends, is played.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast, get_args
from unittest import mock

from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType
from temporalio.testing import ActivityEnvironment

from agentflow import ToolContext, ToolOptions, tool
from agentflow.activity import hold
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.reconcile import EffectActivities
from agentflow.activity.tool import DidNotHappen, Happened, Tool
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.budget import Budget, Spend
from agentflow.contracts.effects import EffectInquiry
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import Billed, RetryOptions, ToolInvocation
from agentflow.contracts.wire import ToolCallId
from agentflow.contracts.work import Work
from agentflow.core.budget import Purse
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root, same_work
from agentflow.errors import BudgetExhausted, EffectUnknownError, LedgerError, ToolError, ToolUnavailableError
from agentflow.testing.memory_ledger import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from agentflow.workflow.course import Allowed, Course
from agentflow.workflow.failures import failure_of
from agentflow.workflow.sealed_calls import activity_error
from agentflow.workflow.tool_charges import Charges

AnswerT = TypeVar("AnswerT")
Kind = Literal["read", "ask", "key", "probe"]
"""A read, or a write by its recovery."""
KINDS: tuple[Kind, ...] = get_args(Kind)

Fate = Literal[
    "fine",
    "answer lost",
    "refused",
    "unavailable",
    "killed before",
    "killed after",
    "unheard",
    "forbidden",
    "ledger away",
]
FATES: tuple[Fate, ...] = get_args(Fate)
"""Of an attempt: what the outside does, where its worker dies, or what keeps it from calling."""
_FINE: Literal["fine"] = "fine"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_INQUIRIES = 6


@dataclass(frozen=True)
class World:
    """What is drawn."""

    kind: Kind
    price: Decimal
    probe_price: Decimal | None
    budget: Decimal
    attempts: int
    """Of the tool's contract."""
    fates: tuple[Fate, ...]
    """Of attempts, one after the other; after the last one each is fine."""
    has_effect: tuple[bool, ...]
    """Whether a call whose answer is lost has had its effect."""
    calls: int = 3
    """How many calls the model asks for."""


class _Killed(BaseException):
    """The process died."""


@dataclass
class Outside:
    """Bills each call that reaches it, whatever becomes of the answer."""

    world: World
    billed: Decimal = Decimal(0)
    fate: Fate = "fine"
    """Of the attempt that is under way."""
    done: list[str] = field(default_factory=list[str])
    """Keys of the effects that it has had."""
    _calls: int = 0

    def called(self, key: str) -> str:
        """A call arrives, or doesn't."""
        if self.fate == "unavailable":
            raise ToolUnavailableError("no route")
        if self.fate == "killed before":
            raise _Killed
        self.billed += self.world.price
        had = self.world.has_effect
        self._calls += 1
        if self.fate == "refused":
            raise ToolError("no")
        if self.fate in ("fine", "unheard") or had[self._calls % len(had)]:
            self.done.append(key)
        if self.fate == "answer lost":
            raise ConnectionError("lost")
        if self.fate == "killed after":
            raise _Killed
        return "done"

    def asked(self, key: str) -> Happened[str] | DidNotHappen:
        """It is asked what became of a call."""
        if self.fate == "killed before":
            raise _Killed
        price = self.world.probe_price
        self.billed += self.world.price if price is None else price
        if self.fate == "killed after":
            raise _Killed
        if self.fate == "answer lost":
            raise ConnectionError("lost")
        if self.fate == "refused":
            raise EffectUnknownError("it can't tell")
        return Happened("done") if key in self.done else DidNotHappen()

    def tool(self) -> Tool[Any, Any]:
        """The tool that calls it."""
        world = self.world
        options = ToolOptions(
            cost_usd=world.price,
            probe_cost_usd=world.probe_price,
            retry=RetryOptions(max_attempts=world.attempts),
            max_effect_delay=timedelta(0),
        )
        is_read = world.kind == "read"

        async def charge(to: str, context: ToolContext) -> str:
            """Call what is billed."""
            return self.called(context.idempotency_key)

        async def find(to: str, context: ToolContext) -> Happened[str] | DidNotHappen:
            return self.asked(context.idempotency_key)

        recovery = "ask" if world.kind == "read" else world.kind
        made = tool(effect="read" if is_read else "write", recovery=recovery, options=options)(charge)
        if world.kind == "probe":
            made.probe(find)
        return made


class _FailingLedger(MemoryLedger):
    """Fails while the outside's fate says so."""

    def __init__(self, outside: Outside) -> None:
        super().__init__()
        self._outside = outside

    async def insert(self, record: Any) -> bool:
        """Keep a new record, or not."""
        if self._outside.fate == "ledger away":
            raise LedgerError("away")
        return await super().insert(record)


@dataclass
class _Lineage:
    knows_all: bool = True


@dataclass
class _Run:
    """As much of a run as is charged."""

    purse: Purse
    lineage: _Lineage = field(default_factory=_Lineage)


class Played:
    """A run that makes the calls of a world, on a server that is played."""

    def __init__(self, world: World, *, guarded: bool = True) -> None:
        self.world = world
        self.outside = Outside(world)
        self.purse_was_passed = False
        """Whether at any time more was settled and reserved than the budget is."""
        self._guarded = guarded
        self._run = _Run(Purse(Budget(cost_usd=world.budget)))
        self._tool = self.outside.tool()
        self._ledger = _FailingLedger(self.outside)
        calls = LedgerCalls(self._ledger, TEST_SEAL_KEYS)
        permits = self._permits
        self._activity = tool_activity(self._tool, calls, MemoryBlobStore(), permits=permits)
        self._inquiries = EffectActivities([self._tool] if world.kind != "read" else [], calls)
        self._fates: Iterator[Fate] = iter(world.fates)
        self._activities = 0

    @property
    def settled(self) -> Decimal:
        """Dollars."""
        return self._run.purse.settled.cost_usd

    async def play(self) -> None:
        """Make the calls until the budget is exhausted or all are made."""
        with mock.patch.object(hold, "PAUSE_SECONDS", 0.0):
            for index in range(1, self.world.calls + 1):
                try:
                    await (self._call(index) if self._guarded else self._unguarded(index))
                except BudgetExhausted:
                    return

    async def _call(self, index: int) -> None:
        """One call, as ``workflow.carrying`` has it made."""
        run, contract = cast(Any, self._run), self._tool.contract
        course = Course(self._allowed(index), _BEGINNING, self.world.attempts, self.world.attempts)
        charges = Charges(run, contract, f"tool-{index}")
        covered = charges.reserve(course.attempts_left, is_fresh=True)
        while True:
            self._look()
            billed: Billed | None = None
            course.was_sent = True
            invocation = course.allowed.invocation
            try:
                result = await self._served(self._activity, invocation, covered)
                billed = result.billed
                return
            except ActivityError as error:
                failure = failure_of(error)
                billed = failure.billed
                wait = course.after(failure)
            finally:
                charges.settle(billed)
                self._look()
            if wait is None:
                break
            self._ledger.advance(wait)
            try:
                covered = charges.reserve(course.attempts_left, is_fresh=False)
            except BudgetExhausted:
                break
        if contract.effect != "read":
            await self._look_up(course)

    async def _look_up(self, course: Course) -> None:
        """What became of it, as ``workflow.effects`` asks."""
        run, contract = cast(Any, self._run), self._tool.contract
        for number in range(_MOST_INQUIRIES):
            inquiry = EffectInquiry(tool=contract.name, invocation=course.allowed.invocation)
            charges = Charges(run, contract, f"probe-{number}", counts=False)
            covered = self.world.attempts
            if contract.probe_cost_usd:
                try:
                    covered = charges.reserve_inquiry(self.world.attempts)
                except BudgetExhausted:
                    inquiry = inquiry.model_copy(update={"may_probe": False})
            self._look()
            billed: Billed | None = None
            try:
                report = await self._served(self._inquiries.reconcile, inquiry, covered)
                billed = report.billed
                return
            except ActivityError as error:
                failure = failure_of(error)
                billed = failure.billed
                if failure.wait is None:
                    return
                self._ledger.advance(failure.wait)
            finally:
                charges.settle(billed)
                self._look()

    async def _unguarded(self, index: int) -> None:
        """The twin: one price is reserved and settled, whatever number of attempts is made."""
        run, contract = self._run, self._tool.contract
        allowed = self._allowed(index)
        run.purse = run.purse.reserve("tool", Spend(cost_usd=contract.options.cost_usd, tool_calls=1))
        try:
            await self._served(self._activity, allowed.invocation, contract.options.retry.max_attempts)
        except ActivityError:
            pass
        finally:
            run.purse = run.purse.settle("tool", Spend(cost_usd=contract.options.cost_usd, tool_calls=1))

    async def _served(
        self, function: Callable[[Any], Awaitable[AnswerT]], argument: Any, attempts: int
    ) -> AnswerT:
        """One activity, as Temporal has it tried."""
        self._activities += 1
        for attempt in range(1, attempts + 1):
            self.outside.fate = self._next_fate()
            try:
                answer = await self._environment(attempt).run(function, argument)
            except _Killed:
                self._ledger.advance(timedelta(minutes=2))
            except ApplicationError as failure:
                if failure.non_retryable or attempt == attempts:
                    raise _ended(failure) from failure
                self._ledger.advance(failure.next_retry_delay or timedelta(seconds=1))
            else:
                if self.outside.fate != "unheard":
                    return answer
                self._ledger.advance(timedelta(minutes=2))
        silence = TimeoutError("activity timed out", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[])
        raise _ended(silence) from silence

    def _next_fate(self) -> Fate:
        following: Fate | None = next(self._fates, None)
        return following or _FINE

    async def _permits(self, invocation: ToolInvocation) -> None:
        if self.outside.fate == "forbidden":
            raise LedgerError("nobody can say whether it is forbidden")

    def _environment(self, attempt: int) -> ActivityEnvironment:
        made = ActivityEnvironment()
        made.info = replace(
            made.info,
            attempt=attempt,
            activity_id=f"activity-{self._activities}",
            workflow_id="run",
            workflow_run_id="execution",
            namespace="default",
            start_to_close_timeout=timedelta(seconds=30),
        )
        return made

    def _allowed(self, index: int) -> Allowed:
        name, arguments = self._tool.contract.name, {"to": f"ada {index}"}
        hashed = arguments_hash(name, arguments)
        root = run_root("default", "run")
        decision = Decision(verdict="allow", rule="all", reason="all", arguments_hash=hashed)
        work = Work(id=same_work(root, name, hashed), chain="execution", alone=True)
        invocation = ToolInvocation(
            call_id=ToolCallId(f"call-{index}"),
            arguments=arguments,
            decision=decision,
            ledger_key=ledger_key(root, "execution", index, name),
            work=None if self.world.kind == "read" else work,
        )
        call = ToolCall(id=invocation.call_id, tool=name, arguments=arguments)
        return Allowed(call, index, self._tool.contract, decision, invocation)

    def _look(self) -> None:
        purse = self._run.purse
        if (purse.settled + purse.reserved).cost_usd > self.world.budget:
            self.purse_was_passed = True


def _ended(cause: BaseException) -> ActivityError:
    error = activity_error("activity failed", "charge")
    error.__cause__ = cause
    return error


def played(world: World, *, guarded: bool = True) -> Played:
    """A world that was played to its end."""
    run = Played(world, guarded=guarded)
    asyncio.run(run.play())
    return run
