"""One write's attempts, without a server, and something that forbids it at any moment among their steps.

The moment is a step of the write itself, such as the read of the approvers' keys, so that a seed draws the
same race again on any machine. The guard is the question that each attempt asks; the twin's is always yes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from agentflow import tools_of
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.permits import WritePermits, permitted
from agentflow.activity.reconcile import EffectActivities
from agentflow.activity.stops import StopReader
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.signer import Signer
from agentflow.contracts.effects import EffectInquiry, EffectRecord, EffectReport
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.identity import Consent, UsedDelegation
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR, FORBIDDEN_NOW_ERROR
from agentflow.contracts.rules import Decision, Quorum
from agentflow.contracts.stops import Stop, delegation_stop, key_stop
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.contracts.wire import Json, Sha256, ToolCallId
from agentflow.core.consents import key_hash
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from agentflow.errors import LedgerError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from benchmarks.attacks.late_bank import OPTIONS, TOOLS, Failing, LateBank, Plan
from benchmarks.attacks.signers import EDITS, KeyList, People, edit
from benchmarks.attacks.tried import Tried

CACHED, HEARD = timedelta(milliseconds=10), timedelta(milliseconds=60)
"""Of the worker under attack: short, so that many races fit a minute."""
AT_ONCE = 24

EVENTS = {
    "freeze": ("fleet", "agent", "tenant"),
    "revocation": ("key", "delegation", "revoked"),
    "role change": tuple(event for event in EDITS if event != "revoked"),
    "switch": ("tier", "trusted"),
    "nobody can tell": ("stops unread", "keys unread"),
}
PLACES = {
    "before it": ("before",),
    "as it begins": ("intent:before", "intent:after"),
    "as it asks": ("stops:before", "stops:after", "keys:before", "keys:after"),
    "under way": ("under way",),
    "at a retry": ("between", "replace:before", "replace:after", "probe"),
}


@dataclass(frozen=True)
class Schedule:
    """A race, as it was drawn."""

    kind: str
    event: str
    place: str
    skip: int
    """How often the place is passed before the event happens there."""
    pause: float
    """How long the write is kept at the place afterwards, in seconds."""
    tool: str
    failing: Failing
    delegated: bool
    second: bool
    """Whether the second of the two consents is meant."""
    beside: tuple[float, ...]
    """When other writes of the same worker begin, in seconds."""
    lifted: bool
    """Whether it is allowed again before an attempt comes that was thought dead."""

    @classmethod
    def draw(cls, random: Random, number: int) -> "Schedule":
        """A race of the kind whose turn it is."""
        groups, places = list(EVENTS), list(PLACES)
        group, place = groups[number % len(groups)], places[number // len(groups) % len(places)]
        at, event = random.choice(PLACES[place]), random.choice(EVENTS[group])
        if group == "switch":
            # What was begun on the worker before may be carried out there.
            at = random.choice(("before", "under way", "between"))
        late = at in ("between", "replace:before", "replace:after", "probe")
        failings: list[Failing] = ["before it pays", "after it paid"]
        return cls(
            kind=f"activity: {group}, {place}",
            event=event,
            place=at,
            skip=random.choice((0, 0, 1)) if ":" in at else 0,
            pause=random.choice((0.0, CACHED.total_seconds() / 2, HEARD.total_seconds() * 1.5)),
            tool="remit" if at == "probe" else random.choice(TOOLS),
            failing=random.choice(failings) if late else random.choice(["", *failings]),
            delegated=event == "delegation" or random.random() < 0.3,
            second=random.random() < 0.5,
            beside=tuple(random.uniform(0, 0.03) for _ in range(random.choice((0, 0, 1, 3)))),
            lifted=random.random() < 0.5,
        )


async def attack(random: Random, attempts: int, *, guarded: bool = True) -> list[Tried]:
    """Run races, many at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, schedule: Schedule) -> Tried:
        async with gate:
            return await Race(number, schedule, guarded=guarded).run()

    drawn = [Schedule.draw(random, number) for number in range(attempts)]
    return list(await asyncio.gather(*(one(number, schedule) for number, schedule in enumerate(drawn))))


class TrappedLedger(MemoryLedger):
    """Something may happen before or after each of its operations."""

    def __init__(self, at: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._at = at
        self.fails = False

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record."""
        inner = super()
        return await self._trapped("intent", lambda: inner.insert(record))

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in the place of another."""
        inner = super()
        return await self._trapped("replace", lambda: inner.replace(record, version=version))

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        """What holds."""
        inner = super()
        found = await self._trapped("stops", lambda: inner.stops(namespace))
        if self.fails:
            raise LedgerError("the disk is gone")
        return found

    async def _trapped(self, name: str, operation: Callable[[], Awaitable[Any]]) -> Any:
        await self._at(f"{name}:before")
        done = await operation()
        await self._at(f"{name}:after")
        return done


@dataclass
class Race:
    """One write, and what forbids it."""

    number: int
    schedule: Schedule
    guarded: bool
    bank: LateBank = field(default_factory=LateBank)
    keys: KeyList = field(default_factory=KeyList)
    held: float | None = None
    """When the event held; nothing until it happened."""
    started: dict[int, float] = field(default_factory=dict[int, float])
    """Attempts of the write, by the time that they started."""
    said: list[ApplicationError] = field(default_factory=list[ApplicationError])
    """How attempts failed."""

    def __post_init__(self) -> None:
        self.people = People(self.number)
        self.keys.add(self.people.everybody)
        self.keys.on_read = lambda when: self._at(f"keys:{when}")
        self.ledger = TrappedLedger(self._at)
        self.account = f"a{self.number}"
        self.tool = getattr(self.bank, self.schedule.tool)
        first = self.people.zoe if self.schedule.delegated else self.people.ann
        self.victim: Signer = self.people.bob if self.schedule.second else first
        self.bank.plans[self.account] = Plan(
            self.schedule.failing, lambda: self._at("under way"), lambda: self._at("probe")
        )
        self._skip = self.schedule.skip
        self._is_asked_for = False
        self._worker()

    async def run(self) -> Tried:
        """Run it, and judge what came of it."""
        others = [asyncio.ensure_future(self._other(at)) for at in self.schedule.beside]
        result = await self._attempts()
        if self.held is None:
            await self._happens()
        report = await self._reconciled()
        before = len(self.bank.begun[self.account])
        if self.schedule.lifted:
            await self._lift()
        await self._attempt(9)
        await asyncio.gather(*others)
        wrong = list(self._wrong(result, report))
        if len(self.bank.begun[self.account]) > before and not (result and result.ok):
            wrong.append("it began after its run had given it up")
        return Tried(self.schedule.kind, bool(wrong), f"{'; '.join(wrong)}: {self.schedule}")

    def _wrong(self, result: ToolResult | None, report: EffectReport) -> list[str]:
        assert self.held is not None
        wrong = [f"attempt {one} began when it was forbidden" for one in self._late()]
        was_paid = bool(self.bank.paid[self.account])
        if (report.state == "done") > was_paid or (report.state == "failed") > (not was_paid):
            wrong.append(f"the record says {report.state}, and the bank {was_paid}")
        if result is not None and result.ok and not was_paid:
            wrong.append("it was told as paid")
        if result is None and not self._is_on_record():
            wrong.append(f"nothing says why it was not made: {self.said[-1]}")
        return wrong

    def _late(self) -> list[int]:
        """The attempts that began though they were forbidden."""
        assert self.held is not None
        if self.schedule.event in EVENTS["switch"]:
            begun = [one.attempt for one in self.bank.begun[self.account]]
            return [attempt for attempt in begun if self.started[attempt] > self.held]
        bound = self.held + HEARD.total_seconds()
        return [one.attempt for one in self.bank.begun[self.account] if one.at > bound]

    def _is_on_record(self) -> bool:
        last = self.said[-1]
        if last.type == FORBIDDEN_NOW_ERROR:
            return self._word() in last.message
        # Of a ledger or a list that can't be read, whichever gives up first tells.
        return last.type == EFFECT_UNKNOWN_ERROR or not last.non_retryable

    def _word(self) -> str:
        match self.schedule.event:
            case "fleet" | "agent" | "tenant":
                return "frozen"
            case "delegation":
                return self.people.delegation_id
            case "tier":
                return "of tier dev"
            case "trusted":
                return "approvers are signed"
            case _:
                return self.victim.kid

    # ------------------------------------------------------------ the write

    async def _attempts(self) -> ToolResult | None:
        """What a retry policy of four attempts comes to."""
        self._is_asked_for = True
        await self._at("before")
        for attempt in range(1, 5):
            if attempt > 1:
                await self._at("between")
            if (result := await self._attempt(attempt)) is not None:
                return result
            if self.said[-1].non_retryable:
                break
            await asyncio.sleep(0.005)
        return None

    async def _attempt(self, attempt: int) -> ToolResult | None:
        self.started[attempt] = time.monotonic()
        try:
            return await self._environment(attempt).run(self._run, self._invocation())
        except ApplicationError as error:
            self.said.append(error)
            return None

    async def _reconciled(self) -> EffectReport:
        activities = EffectActivities(tools_of(self.bank), LedgerCalls(self.ledger, TEST_SEAL_KEYS))
        inquiry = EffectInquiry(tool=self.schedule.tool, invocation=self._invocation())
        return await self._environment(1).run(activities.reconcile, inquiry)

    async def _other(self, at: float) -> None:
        """A write of somebody else, by the same worker."""
        await asyncio.sleep(at)
        grounds = self._grounds().model_copy(update={"quorum": None, "consents": (), "tenant": "other"})
        try:
            await self._environment(1).run(self._run, self._invocation(f"other-{at}", grounds))
        except ApplicationError:
            return

    def _worker(self, **changes: Any) -> None:
        """Put a worker there: of tier dev, with approvers' keys, unless it is changed."""
        settings: dict[str, Any] = {"tier": "dev", "approvers": self.keys, **changes}
        stops = StopReader(self.ledger, cached_for=CACHED, heard_within=HEARD)
        asks = WritePermits(stops, **settings, cached_for=CACHED, heard_within=HEARD).permits
        permits = asks if self.guarded else permitted
        self._run = tool_activity(
            self.tool, LedgerCalls(self.ledger, TEST_SEAL_KEYS), MemoryBlobStore(), permits=permits
        )

    def _environment(self, attempt: int) -> ActivityEnvironment:
        found = ActivityEnvironment()
        found.info = replace(
            found.info,
            attempt=attempt,
            workflow_id=self.account,
            namespace="default",
            start_to_close_timeout=OPTIONS.start_to_close_timeout,
        )
        return found

    def _invocation(self, account: str = "", grounds: Grounds | None = None) -> ToolInvocation:
        account = account or self.account
        arguments: dict[str, Json] = {"account": account, "amount": "600.00"}
        binding = arguments_hash(self.schedule.tool, arguments)
        return ToolInvocation(
            call_id=ToolCallId("call_1"),
            arguments=arguments,
            decision=Decision(verdict="allow", rule="two", reason="two people", arguments_hash=binding),
            ledger_key=ledger_key(run_root("default", account), "first", 1, self.schedule.tool),
            grounds=grounds or self._grounds(),
        )

    def _grounds(self) -> Grounds:
        people = self.people
        first = _consent(people.ann)
        if self.schedule.delegated:
            first = _consent(people.ann, people.zoe).model_copy(
                update={"delegation": UsedDelegation(id=people.delegation_id, until=4_000_000_000)}
            )
        return Grounds(
            agent="Payer",
            tenant=f"tenant-{self.number}",
            requested_by="inbox",
            tier="dev",
            identity="signed",
            quorum=Quorum(people=2),
            consents=(first, _consent(people.bob)),
        )

    # ------------------------------------------------------------ the event

    async def _at(self, place: str) -> None:
        """A step of the write. The event happens at the one that was drawn."""
        if place != self.schedule.place or self.held is not None or not self._is_asked_for:
            return
        if self._skip:
            self._skip -= 1
            return
        await self._happens()
        await asyncio.sleep(self.schedule.pause)

    async def _happens(self) -> None:
        match self.schedule.event:
            case "stops unread":
                self.ledger.fails = True
            case "keys unread":
                self.keys.fails = True
            case "tier":
                self._worker(tier="production")
            case "trusted":
                self._worker(approvers=None)
            case "fleet" | "agent" | "tenant" | "key" | "delegation":
                await self.ledger.stop("default", self._stop(), by="ops", reason="odd")
            case edited:
                edit(self.keys, self.victim, edited)
        self.held = time.monotonic()

    async def _lift(self) -> None:
        await self.ledger.lift("default", self._stop(), by="ops")
        self.ledger.fails = self.keys.fails = False
        self.keys.add(self.people.everybody)
        self._worker()

    def _stop(self) -> str:
        names = {
            "agent": "agent:Payer",
            "tenant": f"tenant:tenant-{self.number}",
            "key": key_stop(self.victim.kid),
            "delegation": delegation_stop(self.people.delegation_id),
        }
        return names.get(self.schedule.event, "fleet")


def _consent(by: Signer, behalf: Signer | None = None) -> Consent:
    """Somebody's yes, perhaps in another's place."""
    signers = (by,) if behalf is None else (by, behalf)
    hashes: tuple[Sha256, ...] = tuple(key_hash(signer.public()) for signer in signers)
    return Consent(
        by=by.subject,
        on_behalf_of=behalf.subject if behalf else None,
        kids=tuple(signer.kid for signer in signers),
        key_hashes=hashes,
        roles=(behalf or by).roles,
    )
