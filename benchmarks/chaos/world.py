"""One world of the chaos run from end to end: its parts are started, killed, and looked at afterwards."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.local_stack import LOCAL_KEY
from activities.payments import Payments
from activities.payments_server import PaymentsServer
from agentflow import AgentClient, AgentflowPlugin
from agentflow.contracts.effects import EffectQuery, EffectRecord
from benchmarks.chaos import report
from benchmarks.chaos.casts import SIZES, Casts
from benchmarks.chaos.courses import Runner
from benchmarks.chaos.disk import hold_locks
from benchmarks.chaos.ledgers import WorldName, open_ledger
from benchmarks.chaos.nursery import nursery
from benchmarks.chaos.options import ChaosOptions
from benchmarks.chaos.outside import stock
from benchmarks.chaos.person import Person
from benchmarks.chaos.places import Places, places_of
from benchmarks.chaos.proxy import PaymentsProxy
from benchmarks.chaos.report import Figures, WorldReport
from benchmarks.chaos.runs import PlannedRun, ended, planned, told
from benchmarks.chaos.scenarios import SCENARIOS, CastName, shared_out
from benchmarks.chaos.schedule import Schedule
from benchmarks.chaos.tampering import Tampering
from benchmarks.chaos.temporal import CrashingTemporal
from benchmarks.chaos.verdict import Seen, Verdict, judge
from benchmarks.chaos.workers import WorkerPool

Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Stage:
    """All parts of a world, at work."""

    options: ChaosOptions
    world: WorldName
    directory: Path
    runs: Sequence[PlannedRun]
    temporal: CrashingTemporal
    proxy: PaymentsProxy
    payments: Payments
    """Past the proxy."""
    agents: AgentClient
    places: Places
    casts: Casts
    schedule: Schedule
    tell: Tell


async def run_world(
    options: ChaosOptions, world: WorldName, number: int, directory: Path, tell: Tell
) -> WorldReport:
    """Make the runs of one world, and judge them.

    Args:
        options: How much of what.
        world: Which.
        number: How many runs.
        directory: For databases, logs and, where something is found, ``evidence.txt`` and histories.
        tell: Called with lines about the progress.
    """
    async with _staged(options, world, number, directory, tell) as stage:
        runs = stage.runs
        by_id = {run.workflow_id: run for run in runs}
        person = Person(stage.agents, stage.payments, by_id.__getitem__, options.seed)
        runner = Runner(stage.agents, options.in_flight, options.seed)
        tell(f"{world}: {number} runs, seed {options.seed}, logs in {directory}")
        began = time.monotonic()
        async with _pools(stage) as pools:
            tampering = Tampering(
                directory,
                rows={name: rows for name in stage.casts.names if (rows := stage.casts.place_of(name).rows)},
                stopped={name: pool.stopped for name, pool in pools.items()},
                ledgers={
                    name: partial(open_ledger, world, stage.casts.place_of(name).address)
                    for name in stage.casts.names
                },
                new_ledger=await _new_ledger(stage.casts),
                tell=tell,
            )
            async with _meanwhile(*_around(stage, pools, person, tampering)):
                with suppress(TimeoutError):
                    async with asyncio.timeout(options.deadline.total_seconds()):
                        await runner.carry_out(runs)
                asking = [
                    run.workflow_id
                    for run in runs
                    if run.fate == "open" and await person.has_a_question(run.workflow_id)
                ]
            seconds = time.monotonic() - began
        await asyncio.wait_for(stage.proxy.settled(), timeout=30)
        seen = Seen(
            await stage.payments.list_refunds(),
            await _all_records(stage.casts),
            tuple(person.questions.values()),
            asking,
            tampering.done.keys(),
        )
        verdict = judge(runs, seen)
        if verdict.evidence:
            await _keep_evidence(stage, verdict, seen)
        return _report(stage, verdict, seen, _Actors(pools, tampering), seconds)


@asynccontextmanager
async def _staged(
    options: ChaosOptions, world: WorldName, number: int, directory: Path, tell: Tell
) -> AsyncGenerator[_Stage]:
    scenarios = shared_out(number, options.scenarios, options.seed)
    async with (
        places_of(world, directory, options.seed) as places,
        PaymentsServer() as server,
        CrashingTemporal(directory) as temporal,
    ):
        payments = Payments(LOCAL_KEY, server.base_url)
        charges = await stock(directory, payments, number)
        runs = planned(charges, scenarios, options.seed, options.cancelled)
        late = {run.task.order_id for run in runs if run.scenario == "clocks"}
        upstream = int(server.base_url.rpartition(":")[2])
        async with PaymentsProxy(upstream, options.seed, late) as proxy:
            names: tuple[CastName, ...] = tuple(
                name for name in SIZES if any(SCENARIOS[run.scenario].cast == name for run in runs)
            )
            casts = Casts(world, temporal.address, proxy.base_url, directory, runs, names)
            await casts.make_ledgers(places)
            client = await Client.connect(temporal.address, plugins=[AgentflowPlugin()])
            try:
                yield _Stage(
                    *(options, world, directory, runs, temporal, proxy, payments, AgentClient(client)),
                    *(places, casts, Schedule(options.seed, number, options.rounds), tell),
                )
            finally:
                await payments.close()


@asynccontextmanager
async def _pools(stage: _Stage) -> AsyncGenerator[dict[CastName, WorkerPool]]:
    nobody = Schedule(stage.options.seed, 0, rounds=0)
    async with nursery(stage.directory) as workers, AsyncExitStack() as stack:
        pools: dict[CastName, WorkerPool] = {}
        for name in stage.casts.names:
            schedule = stage.schedule if name == "common" else nobody
            size, orders = SIZES[name], stage.casts.orders
            pool = WorkerPool(
                name, size, schedule, orders, nursery=workers, directory=stage.directory, tell=stage.tell
            )
            pools[name] = await stack.enter_async_context(pool)
        yield pools


def _around(
    stage: _Stage, pools: dict[CastName, WorkerPool], person: Person, tampering: Tampering
) -> Sequence[Coroutine[Any, Any, None]]:
    """All that goes on beside the runs."""
    runs, options = stage.runs, stage.options
    work: list[Coroutine[Any, Any, None]] = [
        person.work(),
        tampering.work(runs),
        _crashing(stage),
        _telling(stage, pools),
    ]
    if "common" in pools:
        own = [run for run in runs if SCENARIOS[run.scenario].cast == "common"]
        work += [_shooting(pools["common"], own, options), _freezing(pools["common"], own, options)]
    if "cut_store" in pools and stage.world == "sqlite":
        work.append(hold_locks(Path(stage.casts.place_of("cut_store").address), options.seed))
    return work


@asynccontextmanager
async def _meanwhile(*work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let work go on beside the block; end the block if any of it fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def _telling(stage: _Stage, pools: dict[CastName, WorkerPool]) -> None:
    while True:
        await asyncio.sleep(5)
        kills = sum(pool.kills for pool in pools.values())
        told(stage.runs, stage.tell, f"; {kills} workers killed")


async def _shooting(pool: WorkerPool, runs: Sequence[PlannedRun], options: ChaosOptions) -> None:
    chance = random.Random(f"{options.seed}/shots")
    while True:
        await _until_ended(runs, ended(runs) + options.runs_per_shot * chance.uniform(0.5, 1.5))
        pool.shoot_one(chance)


async def _freezing(pool: WorkerPool, runs: Sequence[PlannedRun], options: ChaosOptions) -> None:
    chance = random.Random(f"{options.seed}/freezes")
    while True:
        await _until_ended(runs, ended(runs) + options.runs_per_freeze * chance.uniform(0.5, 1.5))
        await pool.freeze_one(chance, options.longest_freeze.total_seconds())


async def _crashing(stage: _Stage) -> None:
    """Crash the server so many times, evenly over the whole."""
    runs = stage.runs
    times = stage.options.server_kills_of(len(runs))
    for number in range(1, times + 1):
        await _until_ended(runs, len(runs) * number / (times + 1))
        stage.tell("killing the Temporal server")
        await stage.temporal.crash()


async def _until_ended(runs: Sequence[PlannedRun], number: float) -> None:
    """By progress and not by time, so that a slow machine has no more to get over than a fast one."""
    while ended(runs) < number:  # noqa: ASYNC110 - the runs' fates are no event
        await asyncio.sleep(0.2)


async def _new_ledger(casts: Casts) -> Any:
    place = casts.places.get("new")
    return await asyncio.to_thread(place.rows.backup) if place and place.rows else None


async def _all_records(casts: Casts) -> list[EffectRecord]:
    found: list[EffectRecord] = []
    for name, place in casts.places.items():
        address = place.address
        if name == "cut_store" and casts.world != "sqlite":
            continue  # its proxy would cut the look, too; the runs are judged by payments all the same
        ledger = open_ledger(casts.world, address)
        try:
            page = await ledger.find(EffectQuery(), limit=500)
            found += [effect.record for effect in page.effects]
            while page.cursor:
                page = await ledger.find(EffectQuery(), limit=500, cursor=page.cursor)
                found += [effect.record for effect in page.effects]
        finally:
            await ledger.close()
    return found


async def _keep_evidence(stage: _Stage, verdict: Verdict, seen: Seen) -> None:
    """What was found, the ledgers' records, and the histories of the runs it was found at."""
    runs = {run for run, _ in verdict.evidence}
    lines = [f"{run}: {finding}" for run, finding in verdict.evidence]
    lines += [record.model_dump_json() for record in seen.records if record.workflow_id in runs]
    (stage.directory / "evidence.txt").write_text("\n".join(lines) + "\n")
    for workflow_id in runs:
        with suppress(Exception):
            history = await stage.agents.temporal.get_workflow_handle(workflow_id).fetch_history()
            (stage.directory / f"{workflow_id}.json").write_text(json.dumps(history.to_json_dict(), indent=1))


@dataclass(frozen=True)
class _Actors:
    """Who did things to the runs, and remembers what."""

    pools: dict[CastName, WorkerPool]
    tampering: Tampering


def _report(stage: _Stage, verdict: Verdict, seen: Seen, actors: _Actors, seconds: float) -> WorldReport:
    pools = actors.pools.values()
    statuses = Counter[str](
        execution.outcome.status
        for run in stage.runs
        for execution in run.executions
        if execution.outcome is not None and execution.outcome.status not in ("completed", "escalated")
    )
    answers, twice = report.bills(stage.directory / "bills.txt")
    proxy = stage.proxy.report
    crashes = sum((pool.crashed for pool in pools), Counter[int]())
    return WorldReport(
        world=stage.world,
        figures=report.summed(verdict.figures.values()),
        scenarios={name: Figures.of(verdict.figures[name]) for name in SCENARIOS if name in verdict.figures},
        seconds=round(seconds, 1),
        deaths=report.Deaths(
            worker_kills=sum(pool.shot + pool.doomed for pool in pools) + stage.schedule.died.total(),
            server_kills=stage.temporal.crashes,
            kills_at_points=report.by_point(stage.schedule.died),
            kills_in_writes=sum(pool.doomed for pool in pools),
            kills_from_outside=sum(pool.shot for pool in pools),
            worker_freezes=sum(pool.freezes for pool in pools),
            worker_crashes={str(code): number for code, number in crashes.items()},
        ),
        tampered=dict(Counter(actors.tampering.done.values())),
        store_cuts=stage.places.cuts,
        payment_faults=dict(proxy.faults),
        latest_effect_seconds=round(proxy.latest_effect, 2),
        effects_later_than_promised=proxy.bound_broken,
        answers=dict(Counter[str](question.answer for question in seen.questions)),
        other_questions=dict(
            Counter(question.reason[:200] for question in seen.questions if question.effect is None)
        ),
        other_outcomes=dict(statuses),
        model_answers=answers,
        model_answers_paid_twice=twice,
    )
