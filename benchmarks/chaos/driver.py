"""One chaos run from end to end: the parts are started, killed, and looked at afterwards."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.local_stack import LOCAL_KEY
from activities.payments import Payments
from activities.payments_server import PaymentsServer
from agentflow import AgentClient, AgentflowPlugin
from agentflow.contracts.effects import EffectQuery, StoredEffect
from agentflow.ports.ledger import EffectLedger
from benchmarks.chaos import report
from benchmarks.chaos.ledgers import LedgerKind, open_ledger, place_of
from benchmarks.chaos.outside import stock
from benchmarks.chaos.person import Person
from benchmarks.chaos.proxy import PaymentsProxy
from benchmarks.chaos.report import ChaosReport
from benchmarks.chaos.runs import PlannedRun, Runner, keep_telling, planned
from benchmarks.chaos.schedule import Schedule
from benchmarks.chaos.temporal import CrashingTemporal
from benchmarks.chaos.verdict import Verdict, judge
from benchmarks.chaos.worker import Death, Orders
from benchmarks.chaos.workers import WorkerPool

QUEUE = "chaos"


@dataclass(frozen=True)
class ChaosOptions:
    """How much, of what, for how long."""

    runs: int = 300
    seed: int = 1
    workers: int = 4
    in_flight: int = 50
    """Runs that are under way at the same time."""
    ledger: LedgerKind = "sqlite"
    server_kills: int = 4
    rounds: int | None = None
    """How often workers die at each point; as long as the runs last by default."""
    runs_per_shot: int = 12
    """A worker is killed from outside each time that about so many runs have ended."""
    runs_per_freeze: int = 24
    """A worker is stopped for a while each time that about so many runs have ended."""
    longest_freeze: timedelta = timedelta(seconds=15)
    cancelled: float = 0.0
    """How many of the runs somebody cancels, from 0 to 1."""
    deadline: timedelta = timedelta(minutes=9)
    """When runs that are still open count as stuck."""


@dataclass(frozen=True)
class _Stage:
    """All parts, at work."""

    options: ChaosOptions
    directory: Path
    temporal: CrashingTemporal
    proxy: PaymentsProxy
    payments: Payments
    """Past the proxy."""
    agents: AgentClient
    ledger: EffectLedger
    ledger_place: str
    schedule: Schedule

    def orders(self, death: Death | None) -> Orders:
        return Orders(
            temporal=self.temporal.address,
            task_queue=QUEUE,
            payments=self.proxy.base_url,
            api_key=LOCAL_KEY,
            directory=self.directory,
            ledger=self.options.ledger,
            ledger_place=self.ledger_place,
            death=death,
        )


@dataclass(frozen=True)
class _Actors:
    """Who did things to the runs, and remembers what."""

    pool: WorkerPool
    person: Person


async def run_chaos(
    options: ChaosOptions, directory: Path, tell: Callable[[str], None] = lambda line: None
) -> ChaosReport:
    """Make a chaos run, and judge it.

    Args:
        options: How much of it.
        directory: For databases, logs and, where something is wrong, ``evidence.txt`` and histories.
        tell: Called with lines about the progress.
    """
    async with _staged(options, directory) as stage:
        runs = planned(await stock(directory, stage.payments, options.runs), options.seed, options.cancelled)
        charges = {run.task.order_id: run.charge_id for run in runs}
        person = Person(stage.agents, stage.payments, charges.__getitem__, options.seed)
        runner = Runner(stage.agents, QUEUE, options.in_flight)
        tell(f"{options.runs} runs, seed {options.seed}, ledger {options.ledger}, logs in {directory}")
        began = time.monotonic()
        async with WorkerPool(options.workers, stage.schedule, stage.orders, directory, tell) as pool:
            around = (
                person.work(),
                _shooting(pool, runs, options),
                _freezing(pool, runs, options),
                _crashing(stage.temporal, runs, options.server_kills, tell),
                keep_telling(runs, lambda line: tell(f"{line}; {pool.kills} workers killed")),
            )
            async with _meanwhile(*around):
                with suppress(TimeoutError):
                    async with asyncio.timeout(options.deadline.total_seconds()):
                        await runner.carry_out(runs)
            seconds = time.monotonic() - began
        await asyncio.wait_for(stage.proxy.settled(), timeout=30)
        records = [effect.record for effect in await _all_records(stage.ledger)]
        refunds = await stage.payments.list_refunds()
        verdict = judge(runs, refunds, records, person.shown.keys())
        if not verdict.is_clean:
            await _keep_evidence(stage, verdict)
        return _report(stage, runs, verdict, _Actors(pool, person), seconds)


@asynccontextmanager
async def _staged(options: ChaosOptions, directory: Path) -> AsyncGenerator[_Stage]:
    async with (
        place_of(options.ledger, directory) as ledger_place,
        PaymentsServer() as server,
        PaymentsProxy(int(server.base_url.rpartition(":")[2]), options.seed) as proxy,
        CrashingTemporal(directory) as temporal,
    ):
        payments = Payments(LOCAL_KEY, server.base_url)
        ledger = open_ledger(options.ledger, ledger_place)
        await ledger.check()
        client = await Client.connect(temporal.address, plugins=[AgentflowPlugin()])
        try:
            yield _Stage(
                *(options, directory, temporal, proxy, payments, AgentClient(client)),
                *(ledger, ledger_place, Schedule(options.seed, options.runs, options.rounds)),
            )
        finally:
            await ledger.close()
            await payments.close()


@asynccontextmanager
async def _meanwhile(*work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let work go on beside the block; end the block if any of it fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def _shooting(pool: WorkerPool, runs: Sequence[PlannedRun], options: ChaosOptions) -> None:
    chance = random.Random(f"{options.seed}/shots")
    while True:
        await _until_ended(runs, _ended(runs) + options.runs_per_shot * chance.uniform(0.5, 1.5))
        pool.shoot_one(chance)


async def _freezing(pool: WorkerPool, runs: Sequence[PlannedRun], options: ChaosOptions) -> None:
    chance = random.Random(f"{options.seed}/freezes")
    while True:
        await _until_ended(runs, _ended(runs) + options.runs_per_freeze * chance.uniform(0.5, 1.5))
        await pool.freeze_one(chance, options.longest_freeze.total_seconds())


async def _crashing(
    temporal: CrashingTemporal, runs: Sequence[PlannedRun], times: int, tell: Callable[[str], None]
) -> None:
    """Crash the server so many times, evenly over the whole."""
    for number in range(1, times + 1):
        await _until_ended(runs, len(runs) * number / (times + 1))
        tell("killing the Temporal server")
        await temporal.crash()


def _ended(runs: Sequence[PlannedRun]) -> int:
    return sum(run.fate == "ended" for run in runs)


async def _until_ended(runs: Sequence[PlannedRun], number: float) -> None:
    """By progress and not by time, so that a slow machine has no more to get over than a fast one."""
    while _ended(runs) < number:  # noqa: ASYNC110 - the runs' fates are no event
        await asyncio.sleep(0.2)


async def _all_records(ledger: EffectLedger) -> list[StoredEffect]:
    found: list[StoredEffect] = []
    page = await ledger.find(EffectQuery(), limit=500)
    found += page.effects
    while page.cursor:
        page = await ledger.find(EffectQuery(), limit=500, cursor=page.cursor)
        found += page.effects
    return found


async def _keep_evidence(stage: _Stage, verdict: Verdict) -> None:
    """What was found, the ledger's records, and the histories of the runs it was found at."""
    lines = [f"{run}: {finding}" for run, finding in verdict.evidence]
    lines += [effect.model_dump_json() for effect in await _all_records(stage.ledger)]
    (stage.directory / "evidence.txt").write_text("\n".join(lines) + "\n")
    for workflow_id in {run for run, _ in verdict.evidence}:
        with suppress(Exception):
            history = await stage.agents.temporal.get_workflow_handle(workflow_id).fetch_history()
            (stage.directory / f"{workflow_id}.json").write_text(json.dumps(history.to_json_dict(), indent=1))


def _report(
    stage: _Stage, runs: Sequence[PlannedRun], verdict: Verdict, actors: _Actors, seconds: float
) -> ChaosReport:
    pool, person = actors.pool, actors.person
    outcomes = [run.outcome for run in runs if run.outcome is not None]
    statuses = Counter[str](outcome.status for outcome in outcomes)
    answers, twice = report.bills(stage.directory / "bills.txt")
    proxy = stage.proxy.report
    return ChaosReport(
        runs=len(runs),
        worker_kills=pool.kills,
        server_kills=stage.temporal.crashes,
        completed=statuses.pop("completed", 0),
        escalated=statuses.pop("escalated", 0),
        unknown_surfaced=len(person.shown),
        duplicate_effects=verdict.duplicate_effects,
        lost_effects=verdict.lost_effects,
        lost_runs=verdict.lost_runs,
        stuck_runs=verdict.stuck_runs,
        open_records=verdict.open_records,
        seconds=round(seconds, 1),
        seed=stage.options.seed,
        ledger=stage.options.ledger,
        workers=stage.options.workers,
        other_outcomes=dict(statuses),
        calls=sum(len(outcome.tool_calls) for outcome in outcomes),
        kills_at_points=report.by_point(stage.schedule.died),
        kills_at_random=pool.shot,
        worker_freezes=pool.freezes,
        worker_crashes={str(code): number for code, number in pool.crashed.items()},
        payment_faults=dict(proxy.faults),
        latest_effect_seconds=round(proxy.latest_effect, 2),
        effects_later_than_promised=proxy.bound_broken,
        resolutions=dict(person.said),
        other_escalations=dict(person.other),
        model_answers=answers,
        model_answers_paid_twice=twice,
        versions=report.versions(),
    )
