"""Runs that share a worker, and one moment at which the payments of all of them are forbidden.

Each world has a ledger, a list of keys and a task queue of its own. Its runs are taken to different places;
then the event happens, and everybody does what would have made the payments.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

from temporalio.client import Client
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError
from temporalio.worker import Worker

from agentflow import AgentClient, AgentflowPlugin, tools_of
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.reconcile import PinBefore
from agentflow.activity.sealed import Served
from agentflow.adapters.freezes import Freezes
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.stops import CACHED_FOR, delegation_stop, key_stop
from agentflow.contracts.tools import ToolInvocation
from agentflow.testing import MemoryLedger, ScriptedModel, scripted_plugin
from benchmarks.attacks.delayed_runs import (
    FREEZES,
    GROUPS,
    PATIENCE,
    SERVED,
    SWITCHES,
    UNSERVED,
    LateRun,
    Schedule,
    speak,
    unless_ended,
)
from benchmarks.attacks.late_bank import LateBank
from benchmarks.attacks.payers import LongPayer, Payer
from benchmarks.attacks.signers import KeyList, People, edit
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tried

RUNS = 6
"""Of a world."""
WORLDS_AT_ONCE = 10
HEARD = CACHED_FOR + timedelta(milliseconds=100)
"""Time in which a worker on this machine hears of a stop."""
DECOY = "agentflow-freeze"
"""A workflow that one might take for the freeze."""


async def attack(stage: Stage, random: Random, attempts: int, *, guarded: bool = True) -> list[Tried]:
    """Let as many runs be forbidden to pay, some worlds at once."""
    gate = asyncio.Semaphore(WORLDS_AT_ONCE)
    worlds = [World(stage, schedules, guarded=guarded) for schedules in _drawn(random, attempts)]

    async def one(world: World) -> list[Tried]:
        async with gate:
            return await world.run()

    async with asyncio.TaskGroup() as group:
        found = [group.create_task(one(world)) for world in worlds]
    return [tried for world in found for tried in world.result()]


def _drawn(random: Random, attempts: int) -> Iterator[list[Schedule]]:
    """Schedules by world. What concerns all runs of a world is the same for all of them."""
    wide = [(event,) for event in (*FREEZES, *SWITCHES)]
    mixed = [(*GROUPS["revocation"], *GROUPS["role change"])] * 4
    # A worker that is down and one that is up, in turn, for each.
    kinds = [(events, down) for events in (*wide, *mixed) for down in (False, True)]
    random.shuffle(kinds)
    number = 0
    while attempts > 0:
        events, down = kinds[number % len(kinds)]
        yield [_schedule(random, random.choice(events), down=down) for _ in range(min(RUNS, attempts))]
        attempts -= RUNS
        number += 1


def _schedule(random: Random, event: str, *, down: bool) -> Schedule:
    places: Sequence[str] = UNSERVED if down else SERVED
    if event == "both":
        places = ("requested", "consented")
    if event.endswith("by signal") and event not in FREEZES:
        # Of what a run has acted on, a signal takes nothing back.
        places = ("in one task",) if down else ("requested", "consented", "continued as new")
    return Schedule.draw(random, event, random.choice(places))


class World:
    """A worker, its runs, and what forbids their payments."""

    def __init__(self, stage: Stage, schedules: Sequence[Schedule], *, guarded: bool) -> None:
        self._stage = stage
        self._guarded = guarded
        self._event = schedules[0].event
        self._is_down = schedules[0].place in UNSERVED
        self._queue = f"late-{uuid4()}"
        self._ledger, self._keys, self._bank = MemoryLedger(), KeyList(), LateBank()
        self._other_bank = LateBank() if self._event == "both" else self._bank
        self._up = AsyncExitStack()
        self._client = stage.client
        self._signed = self._event != "signed"
        self.runs = [self._run(number, schedule) for number, schedule in enumerate(schedules)]

    async def run(self) -> list[Tried]:
        """Take all runs to their places, let it happen, let them go on, and judge."""
        try:
            await self._serve()
            await self._each(lambda run: run.begin(self._queue))
            if self._is_down:
                await self._serve(no_remote_activities=True)
                await self._each(LateRun.scheduled)
                await self._up.aclose()
                await self._each(lambda run: run.left_to_itself(early=True))
            held = await self._forbidden()
            await self._each(LateRun.go_on)
            await self._each(lambda run: run.judge(held, self._words(run)))
            await self._lifted()
            await self._each(LateRun.finish)
        finally:
            await self._up.aclose()
        return [Tried(run.schedule.kind, bool(run.wrong), self._told(run)) for run in self.runs]

    def _run(self, number: int, schedule: Schedule) -> LateRun:
        people = People(number)
        self._keys.add(people.everybody)
        banks = (self._other_bank, self._bank)
        return LateRun(schedule, number, lambda: AgentClient(self._client), banks, people)

    async def _each(self, step: Callable[[LateRun], Awaitable[None]]) -> None:
        """A step of all runs. One that is stuck, or falls over, is lost: that is wrong as well."""

        async def one(run: LateRun) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await step(run)
            except (TimeoutError, TemporalError, RPCError, IndexError) as error:
                run.wrong.append(f"it is stuck: {type(error).__name__}: {error}")

        await asyncio.gather(*(one(run) for run in self.runs if not run.wrong))

    # ------------------------------------------------------------ workers

    async def _serve(self, *, no_remote_activities: bool = False, **changes: Any) -> None:
        """Put a worker in the place of the one before: of tier dev, unless it is changed."""
        await self._up.aclose()
        settings = {"tier": "dev", "approvers": self._keys if self._signed else "trusted", **changes}
        await self._start(self._bank, settings, no_remote_activities)
        if self._event == "both":
            await self._start(self._other_bank, {"tier": "production", "approvers": "trusted"})

    async def _start(
        self, bank: LateBank, settings: dict[str, Any], no_remote_activities: bool = False
    ) -> None:
        tools = tools_of(bank)
        plugin = scripted_plugin(ScriptedModel(speak), tools=tools, ledger=self._ledger, **settings)
        if not self._guarded:
            _make_careless(plugin, tools)
        self._client = await Client.connect(
            self._stage.server.address, plugins=[plugin], runtime=self._stage.runtime
        )
        worker = Worker(
            self._client,
            task_queue=self._queue,
            workflows=[Payer, LongPayer],
            no_remote_activities=no_remote_activities,
            # A worker would mostly keep the activities of its runs to itself.
            disable_eager_activity_execution=True,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        )
        await self._up.enter_async_context(worker)

    # ------------------------------------------------------------ the event

    async def _forbidden(self) -> float:
        """Let it happen; when it held. Who says yes meanwhile says it before or after, as it comes."""
        if self._event == "both":
            return math.inf
        consents = asyncio.ensure_future(self._each(LateRun.consents_meanwhile))
        if self._event in SWITCHES:
            await consents
            held = await self._switched()
        else:
            await (self._frozen() if self._event in FREEZES else self._taken_away())
            held = time.monotonic()
            await consents
        if self._is_down:
            await self._each(lambda run: run.left_to_itself(early=False))
            if self._event not in SWITCHES:
                await self._serve()
        return held

    async def _switched(self) -> float:
        await self._up.aclose()
        held = time.monotonic()
        if self._is_down:
            await self._each(lambda run: run.left_to_itself(early=False))
        match self._event:
            case "tier":
                await self._serve(tier="production")
            case "trusted":
                await self._serve(approvers="trusted")
            case _:
                await self._serve(approvers=self._keys)
        return held

    def _freezes(self) -> list[Freeze]:
        match self._event:
            case "agent":
                return [Freeze(scope="agent", name=name, by="ops") for name in ("Payer", "LongPayer")]
            case "tenant":
                return [Freeze(scope="tenant", name=run.tenant, by="ops") for run in self.runs]
            case _:
                return [Freeze(scope="fleet", by="ops")]

    async def _frozen(self) -> None:
        # Whom Temporal would find are the runs of all worlds: of these, some are told, and some aren't.
        freezes = Freezes(self._ledger, "default", _unreachable, settled_within=HEARD)
        told = [run for run in self.runs if run.schedule.told]
        await asyncio.gather(
            *(freezes.freeze(one, sweeps=(0,), wait=timedelta(0)) for one in self._freezes()),
            *(self._tell("freeze", run) for run in told),
        )
        if self._event == "unfrozen by signal":
            await asyncio.gather(*(self._tell("unfreeze", run) for run in self.runs))
        if self._event == "ended in Temporal":
            await self._end_in_temporal()

    async def _tell(self, verb: str, run: LateRun) -> None:
        for freeze in self._freezes():
            await run.signal(verb, freeze.model_dump(mode="json"))

    async def _end_in_temporal(self) -> None:
        """Whatever in Temporal looks like a freeze is terminated."""
        decoy = f"{DECOY}-{self._queue}"
        await self._client.start_workflow("Freeze", id=decoy, task_queue="nobody")
        with unless_ended():
            await self._client.get_workflow_handle(decoy).terminate()

    async def _taken_away(self) -> None:
        """A key, a delegation, a role: for each run its own."""
        await asyncio.gather(*map(self._take_away, self.runs))
        await asyncio.sleep(HEARD.total_seconds())

    async def _take_away(self, run: LateRun) -> None:
        kid, delegation = run.victim.kid, run.people.delegation_id
        match run.schedule.event:
            case "key":
                await self._ledger.stop("default", key_stop(kid), by="security")
            case "delegation":
                await self._ledger.stop("default", delegation_stop(delegation), by="security")
            case "key by signal":
                await run.signal("revoke", {"kid": kid, "by": "security"})
            case "delegation by signal":
                await run.signal("revoke", {"delegation": delegation, "by": "security"})
            case edited:
                edit(self._keys, run.victim, edited)

    async def _lifted(self) -> None:
        """End what holds for all; whose word was taken away stays without it."""
        if self._event in FREEZES:
            freezes = Freezes(self._ledger, "default", _unreachable, settled_within=HEARD)
            await asyncio.gather(*(freezes.unfreeze(one, sweeps=(0,)) for one in self._freezes()))
            await asyncio.sleep(HEARD.total_seconds())
        if self._event in SWITCHES and self._event != "both":
            await self._serve()

    def _words(self, run: LateRun) -> tuple[str, ...]:
        """One of these must be on record of a payment that was not made."""
        match run.schedule.event:
            case event if event in FREEZES:
                return ("frozen",)
            case "tier":
                return ("of tier dev",)
            case "trusted" | "signed" | "both":
                return ("approvers are",)
            case event if event.startswith("delegation"):
                return (run.people.delegation_id, "no longer counts: ann for zoe")
            case _:
                return (run.victim.kid, f"no longer counts: {run.victim.subject}", "for zoe (approval")

    def _told(self, run: LateRun) -> str:
        return f"{'; '.join(run.wrong)}: {run.schedule}"


async def _unreachable() -> Client:
    raise ConnectionError("not asked")


def _make_careless(plugin: AgentflowPlugin, tools: Sequence[Any]) -> None:
    """Take the question out that each attempt asks."""
    guarded = plugin._tools_served

    def careless(ledger: LedgerCalls | None, before: PinBefore) -> list[Served]:
        others = [served for served in guarded(ledger, before) if served.argument is not ToolInvocation]
        return [
            *(
                Served(t.contract.name, ToolInvocation, tool_activity(t, ledger, plugin._blobs))
                for t in tools
            ),
            *others,
        ]

    plugin._tools_served = careless
