"""A small chaos run: the same code as ``python -m benchmarks.chaos``, with fewer runs."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.payments import KEY_METADATA, WORKFLOW_METADATA, PaymentRefund
from agentflow import AgentOutcome
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.outcome import ToolCallSummary
from agentflow.contracts.wire import Sha256, ToolCallId
from agentflow.core.idempotency import ledger_key, run_root
from agentflow.testing import FAULT_POINTS
from benchmarks.chaos.agent import RefundReport, RefundTask
from benchmarks.chaos.driver import ChaosOptions, run_chaos
from benchmarks.chaos.runs import Fate, PlannedRun
from benchmarks.chaos.schedule import DEATHS, Schedule
from benchmarks.chaos.verdict import judge

WORKFLOW, CHAIN = "refund-1", "first"
KEY = ledger_key(run_root("default", WORKFLOW), CHAIN, 1, "refund_probed")
SHOWN = {(WORKFLOW, KEY)}


@pytest.mark.slow
async def test_every_effect_is_where_the_runs_say_whatever_dies(tmp_path: Path) -> None:
    options = ChaosOptions(
        runs=16, seed=1, rounds=1, server_kills=1, in_flight=16, deadline=timedelta(seconds=120)
    )
    report = await run_chaos(options, tmp_path)
    assert report.is_clean, (tmp_path / "evidence.txt").read_text()
    assert report.completed + report.escalated == options.runs
    assert report.worker_kills >= 6
    assert report.server_kills == 1
    assert {point.partition(":")[0] for point in report.kills_at_points} == set(FAULT_POINTS)


# What the comparison sees.


def run(fate: Fate = "ended", effect: str | None = "done", **outcome: Any) -> PlannedRun:
    call = ToolCallSummary.model_validate(
        {"tool_call_id": "call_1", "tool": "refund_probed", "arguments": {}, "rule": "r", "effect": effect}
    )
    values: dict[str, Any] = {
        "status": "completed",
        "output": RefundReport(refunded=effect == "done"),
        "tool_calls": (call,),
    }
    task = RefundTask(tool="refund_probed", order_id="ORD-10000", amount_usd=Decimal("5.00"))
    ended = AgentOutcome[RefundReport](**{**values, **outcome}) if fate == "ended" else None
    return PlannedRun(WORKFLOW, task, "ch_1", chain=CHAIN, fate=fate, outcome=ended)


def refund(key: str = KEY, amount: str = "5.00") -> PaymentRefund:
    return PaymentRefund(
        refund_id="re_1",
        charge_id="ch_1",
        amount_usd=Decimal(amount),
        status="succeeded",
        metadata={KEY_METADATA: key, WORKFLOW_METADATA: WORKFLOW},
    )


def record(state: str) -> EffectRecord:
    return EffectRecord.model_validate(
        {
            "key": KEY,
            "namespace": "default",
            "workflow_id": WORKFLOW,
            "run_id": "r",
            "tool": "refund_probed",
            "tool_call_id": ToolCallId("call_1"),
            "arguments_hash": Sha256("b" * 64),
            "owner": "o",
            "lease": timedelta(seconds=10),
            "state": state,
        }
    )


def found(
    planned: PlannedRun,
    refunds: Sequence[PaymentRefund] = (),
    records: Sequence[EffectRecord] = (),
    shown: set[tuple[str, Sha256]] = SHOWN,
) -> dict[str, int]:
    verdict = judge([planned], refunds, records, shown)
    counts = {
        "duplicate": verdict.duplicate_effects,
        "lost": verdict.lost_effects,
        "lost_runs": verdict.lost_runs,
        "stuck": verdict.stuck_runs,
        "open": verdict.open_records,
    }
    assert verdict.is_clean == (not any(counts.values()))
    return {name: number for name, number in counts.items() if number}


ABORTED: dict[str, Any] = {"effect": "unknown", "status": "escalated", "output": None}


def test_a_run_that_says_what_happened_is_clean() -> None:
    assert found(run(), [refund()], [record("done")]) == {}
    assert found(run(effect="failed"), [], [record("failed")]) == {}
    assert found(run(**ABORTED), [refund()], [record("unknown")]) == {}
    assert found(run(**ABORTED), [], [record("unknown")]) == {}


@pytest.mark.parametrize("key", [KEY, "c" * 64])
def test_a_second_refund_of_a_run_is_a_duplicate_whatever_its_key(key: str) -> None:
    assert found(run(), [refund(), refund(key)])["duplicate"] == 1


@pytest.mark.parametrize(
    ("planned", "refunds"),
    [
        (run(), []),
        (run(effect="failed"), [refund()]),
        (run(effect=None, output=RefundReport(refunded=True)), [refund()]),
        (run(output=RefundReport(refunded=False)), [refund()]),
        (run(), [refund(amount="4.00")]),
        (run(status="cancelled", effect="failed", output=None), [refund()]),
    ],
)
def test_a_run_that_says_anything_else_has_lost_an_effect(
    planned: PlannedRun, refunds: list[PaymentRefund]
) -> None:
    assert found(planned, refunds) == {"lost": 1}


@pytest.mark.parametrize(("state", "refunds"), [("failed", [refund()]), ("done", [])])
def test_a_record_that_says_otherwise_is_a_lost_effect(state: str, refunds: list[PaymentRefund]) -> None:
    planned = run() if refunds else run(effect="failed")
    assert found(planned, refunds, [record(state)]) == {"lost": 1}


def test_an_unknown_that_nobody_was_shown_is_a_lost_effect() -> None:
    assert found(run(**ABORTED), shown=set()) == {"lost": 1}


@pytest.mark.parametrize("state", ["intended", "unknown"])
def test_a_record_without_an_end_that_nobody_was_told_of_is_found(state: str) -> None:
    assert found(run(), [refund()], [record(state)], shown=set()) == {"open": 1}


def test_a_cancelled_run_may_end_in_doubt_since_nobody_can_be_asked() -> None:
    cancelled: dict[str, Any] = {**ABORTED, "status": "cancelled"}
    assert found(run(**cancelled), [refund()], [record("unknown")], shown=set()) == {}


def test_runs_without_an_outcome_are_lost_or_stuck() -> None:
    assert found(run("lost")) == {"lost_runs": 1}
    assert found(run("open")) == {"stuck": 1}
    assert found(run("waiting")) == {"stuck": 1}


def test_every_kind_of_death_is_dealt_out_and_each_point_comes_early() -> None:
    schedule = Schedule(seed=1, runs=300, rounds=1)
    dealt = [schedule.deal() for _ in DEATHS]
    assert sorted((d.at, d.name or "chat") for d in dealt if d) == sorted(DEATHS)
    assert {d.at for d in dealt[: len(FAULT_POINTS)] if d} == set(FAULT_POINTS)
    assert schedule.deal() is None


def test_a_death_that_did_not_come_about_is_dealt_out_again() -> None:
    schedule = Schedule(seed=1, runs=300, rounds=1)
    first = schedule.deal()
    assert first
    schedule.put_back(first)
    again = schedule.deal()
    assert again
    assert (again.at, again.name) == (first.at, first.name)
