"""Extension points: what is plugged in answers something else than an answer, or nothing for ever.

The guard is that each answer is held to its type, in bounded time. The twin takes truthiness for a yes, as
most code does.
"""

import asyncio
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from agentflow.activity import chat, guards, ledger_calls, verification
from agentflow.activity.calling import ToolCaller
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.contracts.approval import Approver
from agentflow.contracts.budget import Usage
from agentflow.contracts.messages import AssistantMessage, UserMessage
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.contracts.verification import Verification
from agentflow.core import policy
from agentflow.core.rules import Match
from agentflow.ports.guards import GuardedText
from agentflow.testing import MemoryLedger, ScriptedModel, answer, calls
from benchmarks.attacks import asked_directly
from benchmarks.attacks.books import QUICK
from benchmarks.attacks.gadgets import (
    MARK,
    Asking,
    Badged,
    Conditioned,
    Judged,
    OddBooks,
    Plain,
    Wiring,
    kind_in,
)
from benchmarks.attacks.people import ended, send_text, stands
from benchmarks.attacks.stage import Stage, Target
from benchmarks.attacks.tried import Tally, Tried
from benchmarks.attacks.twins import replaced
from benchmarks.attacks.wrong_answers import APPROVERS, ENDS, MATCHES, answered, kind_of

SHORT = 0.4
"""Seconds that the limits are set to here."""
PATIENCE = 50
"""Tenths of a second that a run gets."""


class OddAnswer(ModelAnswer):
    """A model's answer that may be another the next time."""


class OddModel(ScriptedModel):
    """A model client whose first answer is of the kind that the task says, if it says so."""

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Answer."""
        first = call.messages[0]
        if len(call.messages) > 1 or not isinstance(first, UserMessage) or f"model{MARK}" not in first.text:
            return await super().chat(call)
        true, kind = await super().chat(call), kind_in(first.text)
        own: dict[str, Callable[[], Any]] = {
            "negative": lambda: _past_its_checks(true, usage=Usage.model_construct(input_tokens=-(10**9))),
            "uncounted": lambda: _past_its_checks(true, usage=None),
            "other": lambda: OddAnswer.model_validate(true.model_dump()),
            "members": true.model_dump,
            "message": lambda: true.message,
            "written": true.model_dump_json,
        }
        return own[kind]() if kind in own else await answered(kind)


class OddLedger(MemoryLedger):
    """A ledger whose answers on some calls are of the kind that their run says."""

    def __init__(self) -> None:
        super().__init__()
        self._odd: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        """How often it was asked to keep a record, by run."""

    @property
    def now(self) -> datetime:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A clock that goes on."""
        return datetime.now(UTC)

    @now.setter
    def now(self, value: datetime) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        del value

    async def insert(self, record: Any) -> Any:
        """Keep a record, or say something."""
        point, _, rest = record.workflow_id.partition(MARK)
        self.asked[record.workflow_id] += 1
        if point == "ledger.insert":
            return await answered(rest.partition(MARK)[0])
        if point == "ledger.get":
            self._odd[record.key] = rest.partition(MARK)[0]
            return False
        return await super().insert(record)

    async def get(self, key: Any) -> Any:
        """Find a record, or say something."""
        return await answered(self._odd[key]) if key in self._odd else await super().get(key)


class OddGuard:
    """A guard of both kinds, which answers as the text says."""

    async def check_input(self, texts: Sequence[GuardedText]) -> Any:
        """Answer."""
        return await self._said("input", " ".join(one.text for one in texts))

    async def check_output(self, output: Any) -> Any:
        """Answer."""
        return await self._said("output", json.dumps(output))

    async def _said(self, what: str, text: str) -> Any:
        _, found, rest = text.partition(f"{what}{MARK}")
        return await answered(rest.partition(MARK)[0]) if found else None


@dataclass(frozen=True)
class Point:
    """An extension point that a run comes by."""

    agent: type = Plain
    yes: frozenset[str] = frozenset()
    """Kinds that are answers there."""
    also: Sequence[str] = ("hang",)
    """Kinds of its own."""
    is_hit: Callable[[int, str | None], bool] = lambda paid, outcome: paid > 0
    """By the payments and the outcome of a run."""
    in_one_run: int = 1


POINTS: Mapping[str, Point] = {
    "input": Point(yes=frozenset({"none"})),
    "output": Point(yes=frozenset({"none"}), is_hit=lambda paid, outcome: outcome == "completed"),
    "ledger.insert": Point(yes=frozenset({"true", "false"})),
    "ledger.get": Point(yes=frozenset({"none"})),
    "probe": Point(
        Wiring, frozenset({"raises"}), (), is_hit=lambda paid, outcome: paid > 1 or outcome == "completed"
    ),
    "model": Point(also=("negative", "uncounted", "other", "members", "message", "written")),
    "condition": Point(Conditioned, frozenset({"true", "false"}), tuple(ENDS), in_one_run=10),
    "engine": Point(Judged, also=(*MATCHES, *ENDS), in_one_run=10),
}


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Plug wrong answers into a worker, and into one that takes truthiness for a yes."""
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    tally = Tally()
    with _short_limits():
        tally.count(await _tried(stage, random, attempts))
        with _truthy():
            tally.count_twin(await _tried(stage, random, max(attempts // 4, 60)))
    return tally


async def _tried(stage: Stage, random: Random, attempts: int) -> list[Tried]:
    workflows = (Plain, Wiring, Conditioned, Judged, Badged, Asking)
    settings: dict[str, Any] = {"guard_timeout": timedelta(seconds=SHORT), "workflows": workflows}
    settings |= {"input_guard": OddGuard(), "output_guard": OddGuard()}
    async with stage.target(OddModel(_say), books=OddBooks(), ledger=OddLedger(), **settings) as target:
        each = max(attempts // (len(POINTS) + 4), 1)
        # Each with dice of its own: what they do at the same time must not depend on who is first.
        dice = [Random(random.getrandbits(64)) for _ in (*POINTS, Badged, Asking)]
        points = [_at_a_point(target, one, name, each) for one, name in zip(dice, POINTS, strict=False)]
        agents = zip(dice[len(POINTS) :], (Badged, Asking), strict=True)
        verifiers = [_at_a_verifier(target, one, agent, each) for one, agent in agents]
        found = [one for some in await asyncio.gather(*points, *verifiers) for one in some]
    return found + await asked_directly.tried(random, max(attempts - len(found), 1))


def _say(asked: ModelCall) -> AssistantMessage:
    """Pay, or wire, 5.00 to each account of the task; then name them."""
    first = asked.messages[0]
    assert isinstance(first, UserMessage)
    verb, *accounts = first.text.split()
    if asked.messages[-1].kind != "user":
        return answer(" ".join(accounts))
    return calls(*((verb, {"account": account, "amount": "5.00"}) for account in accounts))


async def _at_a_point(target: Target, random: Random, name: str, attempts: int) -> list[Tried]:
    gate, point = asyncio.Semaphore(6), POINTS[name]
    kinds = [kind_of(random, point.also, point.yes) for _ in range(attempts)]
    accounts = [f"{name}{MARK}{kind}{MARK}{uuid4().hex}" for kind in kinds]

    async def run(some: Sequence[str]) -> list[Tried]:
        verb = "wire" if name == "probe" else "pay"
        async with gate:
            handle = await target.start(f"{verb} {' '.join(some)}", point.agent, id=some[0])
            outcome = await _outcome(target, handle)
            await ended(handle)
        return [
            Tried(f"{name}: {kind_in(one)}", point.is_hit(target.books.paid[one], outcome), one)
            for one in some
        ]

    batches = [accounts[at : at + point.in_one_run] for at in range(0, attempts, point.in_one_run)]
    return [one for some in await asyncio.gather(*map(run, batches)) for one in some]


async def _outcome(target: Target, handle: WorkflowHandle[Any, Any]) -> str | None:
    """How a run ended. One whose ledger or outside system can't be asked goes on asking, and none waits."""
    standing, ledger = asyncio.ensure_future(stands(target, handle)), target.ledger
    assert isinstance(ledger, OddLedger)
    for _ in range(PATIENCE):
        if (await asyncio.wait({standing}, timeout=0.1))[0]:
            return standing.result().outcome
        if handle.id.startswith("ledger.") and ledger.asked[handle.id] >= QUICK.max_attempts:
            break
    standing.cancel()
    await asyncio.wait({standing})
    if not standing.cancelled():
        standing.exception()
    return None


async def _at_a_verifier(target: Target, random: Random, agent: type, attempts: int) -> list[Tried]:
    """Decisions on runs whose agent has a verifier of its own."""
    also = (*APPROVERS, "hang") if agent is Asking else tuple(APPROVERS)
    left, found = [kind_of(random, also) for _ in range(attempts)], list[Tried]()
    while left:
        account = f"eve-{uuid4().hex}"
        handle = await target.start(f"pay {account}", agent)
        (waiting,) = (await stands(target, handle)).approvals
        while left:
            kind = left.pop()
            said = {"approval_id": waiting.id, "by": "ann", "reason": kind, "verdict": "approve"}
            counted = await send_text(handle, "update", json.dumps(said)) == "counted"
            found.append(Tried(f"verifier: {kind}", counted, f"{agent.__name__} for {account}"))
            if counted:
                break
        await ended(handle)
        if not found[-1].breached:
            assert not target.books.paid[account]
    return found


def _past_its_checks(true: ModelAnswer, **changes: Any) -> ModelAnswer:
    return ModelAnswer.model_construct(**{**dict(true), **changes})


@contextmanager
def _short_limits() -> Iterator[None]:
    with (
        replaced(ledger_calls.LEDGER_SECONDS, SHORT),
        replaced(verification.VERIFY_TIMEOUT, timedelta(seconds=SHORT)),
        asked_directly.short_limits(SHORT),
    ):
        yield


class _TruthyCaller(ToolCaller):
    async def probe(self, invocation: ToolInvocation) -> ToolResult | None:
        """Take whatever is true for done."""
        found: object = await self._tool.ask_probe(self._values(invocation))
        return self._held_to_contract("done") if found else None


class _TruthyLedger(LedgerCalls):
    def _yes_or_no(self, method: str, answer: object) -> bool:
        return bool(answer)

    async def get(self, key: Any) -> Any:
        """Take what is false for nothing."""
        return await self._answer(lambda: self._ledger.get(key)) or None


def _truthy_finding(rule: Any, context: Any) -> Any:
    match = Match(rule.name, rule.verdict, rule.reason, rule.quorum, rule.is_guard)
    try:
        is_met = rule.when(context)
    except Exception:
        raise
    except BaseException:
        is_met = True  # past this, it would end the process that attacks
    return policy.Finding("matched" if is_met else "not_met", match, "")


@contextmanager
def _truthy() -> Iterator[None]:
    """A twin that takes whatever is true for a yes, and whatever is not for a no."""

    def checked(found: object, method: str) -> Verification:
        if not found:
            return Verification(refusal="no")
        return Verification(approver=Approver(subject="somebody", method=method))

    async def refusal(verdict: Callable[[], Any], timeout: timedelta) -> str | None:
        async with asyncio.timeout(timeout.total_seconds()):
            return str(found) if (found := await verdict()) else None

    def held(found: Any) -> Any:
        if not found:
            raise RuntimeError("no answer")
        return found

    def matches(judged: object) -> list[Match]:
        return [] if judged else [Match("engine", "deny", "it says no")]

    with ExitStack() as stack:
        for guard, other in (
            (verification._checked, checked),  # pyright: ignore[reportPrivateUsage]
            (guards._refusal, refusal),  # pyright: ignore[reportPrivateUsage]
            (chat._held, held),  # pyright: ignore[reportPrivateUsage]
            (policy._matches, matches),  # pyright: ignore[reportPrivateUsage]
            (policy._finding, _truthy_finding),  # pyright: ignore[reportPrivateUsage]
            (LedgerCalls, _TruthyLedger),
            (ToolCaller, _TruthyCaller),
        ):
            stack.enter_context(replaced(guard, other))
        stack.enter_context(asked_directly.truthy())
        yield
