"""The kill switch of a namespace.

A freeze is a stop in the effect ledger, which each attempt of a write asks right before it acts. The runs at
work are told by signal as well, so that they do not begin in vain; nothing depends on it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from temporalio.client import Client

from agentflow.activity.hold import tried
from agentflow.adapters.broadcast import ALL_OPEN_RUNS, SWEEPS, Told, tell_runs
from agentflow.contracts import names
from agentflow.contracts.effects import EffectQuery, StoredEffect
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.stops import HEARD_WITHIN, Stop
from agentflow.contracts.wire import Sha256
from agentflow.core.stops import concerns, is_freeze
from agentflow.errors import LedgerError
from agentflow.ports.ledger import EffectLedger

LISTED_WITHIN = timedelta(seconds=1)
"""How far a ledger's listing of what is open may lag behind: DynamoDB's index is eventually consistent."""
WAIT = timedelta(seconds=30)
"""How long a freeze waits for the writes that were under way when it came."""
POLL_SECONDS = 0.25

_OPEN = EffectQuery(states=("intended",), only_open=True)
_PAGE = 1_000

WriteState = Literal["under way", "done", "failed", "unknown", "not made", "abandoned"]
"""``under way``: it may still have its effect. ``abandoned``: its attempt ended without a word and can have
no effect any more; whether it had one, its run finds out. ``not made``: its attempt began nothing."""


@dataclass(frozen=True)
class WriteUnderWay:
    """A write that was under way when its kind was frozen."""

    key: Sha256
    tool: str
    workflow_id: str
    tool_call_id: str
    state: WriteState
    until: datetime | None = None
    """While it is under way: when it can have no effect any more, unless its attempt renews its lease."""


@dataclass
class Frozen(Told):
    """What a freeze came to."""

    writes: list[WriteUnderWay] = field(default_factory=list[WriteUnderWay])
    """The writes that were under way when every worker had heard of the freeze, and what became of them."""
    unread: str = ""
    """Why the ledger could not say which writes are under way, if it could not."""

    @property
    def is_final(self) -> bool:
        """Whether it is known that nothing more is written."""
        return not self.unread and all(write.state != "under way" for write in self.writes)


class Freezes:
    """The freezes of one namespace, in the ledger that its workers have."""

    def __init__(
        self,
        ledger: EffectLedger,
        namespace: str,
        connect: Callable[[], Awaitable[Client]],
        *,
        settled_within: timedelta = HEARD_WITHIN + LISTED_WITHIN,
    ) -> None:
        """Work on a ledger.

        Args:
            ledger: The workers'.
            namespace: Temporal's.
            connect: Connects to it, to tell the runs.
            settled_within: When every worker knows of a stop, and the ledger lists what they began before.
        """
        self._ledger = ledger
        self._namespace = namespace
        self._connect = connect
        self._settled_within = settled_within

    async def holding(self) -> list[Stop]:
        """The freezes that hold, the oldest first.

        Raises:
            LedgerError: the ledger can't be read.
        """
        stops = await tried(lambda: self._ledger.stops(self._namespace))
        return [stop for stop in stops if is_freeze(stop.key)]

    async def freeze(
        self, freeze: Freeze, *, sweeps: Sequence[float] = SWEEPS, wait: timedelta = WAIT
    ) -> Frozen:
        """Deny all writes of what is frozen, and find out what was under way.

        Args:
            freeze: What, by whom and why.
            sweeps: Seconds after which runs are looked for, to be told.
            wait: How long to wait for what was under way to end.

        Raises:
            LedgerError: the ledger can't be written; whether it is frozen, ``holding`` says.
        """
        changed = await tried(
            lambda: self._ledger.stop(self._namespace, freeze.key, by=freeze.by, reason=freeze.reason)
        )
        found = Frozen(freeze.key, changed)
        await asyncio.gather(
            self._tell(names.FREEZE_SIGNAL, freeze, found, sweeps),
            asyncio.sleep(self._settled_within.total_seconds()),
        )
        await self._await_writes(freeze.key, found, wait)
        return found

    async def unfreeze(self, freeze: Freeze, *, sweeps: Sequence[float] = SWEEPS) -> Told:
        """Let the rules decide again.

        Raises:
            LedgerError: the ledger can't be written; whether it is frozen, ``holding`` says.
        """
        changed = await tried(
            lambda: self._ledger.lift(self._namespace, freeze.key, by=freeze.by, reason=freeze.reason)
        )
        told = Told(freeze.key, changed)
        await self._tell(names.UNFREEZE_SIGNAL, freeze, told, sweeps)
        return told

    async def _tell(self, signal: str, freeze: Freeze, told: Told, sweeps: Sequence[float]) -> None:
        payload = freeze.model_dump(mode="json")
        try:
            client = await self._connect()
            await tell_runs(client, _running(freeze), signal, payload, told, sweeps=sweeps)
        except Exception as error:
            # Whatever it is, the ledger has it: runs that are not told find out at their next write.
            told.problems.append(f"the runs could not be looked up: {_innermost(error)}")

    async def _await_writes(self, key: str, found: Frozen, wait: timedelta) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait.total_seconds()
        writes: dict[Sha256, WriteUnderWay] = {}
        while True:
            try:
                await self._look(key, writes)
                found.unread = ""
            except LedgerError as error:
                found.unread = str(error)
            found.writes = list(writes.values())
            if found.is_final or loop.time() >= deadline:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, key: str, writes: dict[Sha256, WriteUnderWay]) -> None:
        """Add what is under way, and say of what was how it ended."""
        query = _OPEN.model_copy(update={"namespace": self._namespace})
        cursor = None
        while True:
            page = await self._ledger.find(query, limit=_PAGE, cursor=cursor)
            for stored in page.effects:
                if _is_live(stored) and _concerns(key, stored):
                    writes[stored.record.key] = _write(stored)
            if (cursor := page.cursor) is None:
                break
        for effect, write in list(writes.items()):
            if write.state == "under way" and (stored := await self._ledger.get(effect)) is not None:
                writes[effect] = _write(stored)


def freezes_of(
    client: Client,
    ledger: EffectLedger,
    *,
    settled_within: timedelta = HEARD_WITHIN + LISTED_WITHIN,
) -> Freezes:
    """The freezes of the namespace that a client is connected to."""

    async def connected() -> Client:
        return client

    return Freezes(ledger, client.namespace, connected, settled_within=settled_within)


def _concerns(key: str, stored: StoredEffect) -> bool:
    record = stored.record
    # A call that does not say whose it is may be anybody's.
    return not record.agent or concerns(key, record.agent, record.tenant)


def _is_live(stored: StoredEffect) -> bool:
    return stored.record.state == "intended" and stored.age < stored.record.lease


def _write(stored: StoredEffect) -> WriteUnderWay:
    record, live = stored.record, _is_live(stored)
    state: WriteState = "under way"
    if record.state != "intended":
        state = record.state
    elif not live:
        state = "abandoned" if record.attempts else "not made"
    return WriteUnderWay(
        key=record.key,
        tool=record.tool,
        workflow_id=record.workflow_id,
        tool_call_id=record.tool_call_id,
        state=state,
        until=datetime.now(UTC) + record.lease - stored.age if live else None,
    )


def _running(freeze: Freeze) -> str:
    running = "ExecutionStatus = 'Running'"
    match freeze.scope:
        case "fleet":
            return ALL_OPEN_RUNS
        case "agent":
            return f"{names.AGENT_NAME} = '{freeze.name}' AND {running}"
        case "tenant":
            return f"{names.AGENT_TENANT} = '{freeze.name}' AND {running}"


def _innermost(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _innermost(cast(BaseExceptionGroup[BaseException], error).exceptions[0])
    return str(error) or type(error).__name__
