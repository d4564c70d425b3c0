"""A small chaos run: the same code as ``python -m benchmarks.chaos``, with fewer runs; and what its verdict sees."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.payments import KEY_METADATA, WORKFLOW_METADATA, PaymentRefund
from agentflow import AgentOutcome
from agentflow.contracts.effects import EarlierEffect, EffectRecord
from agentflow.contracts.escalation import EffectInDoubt, ResolutionAction
from agentflow.contracts.outcome import ToolCallSummary
from agentflow.contracts.wire import Sha256, ToolCallId
from agentflow.core.idempotency import ledger_key, run_root
from agentflow.testing import FAULT_POINTS
from benchmarks.chaos.agent import RefundReport, RefundTask
from benchmarks.chaos.driver import run_chaos
from benchmarks.chaos.options import ChaosOptions
from benchmarks.chaos.person import Question
from benchmarks.chaos.runs import Execution, Fate, PlannedRun
from benchmarks.chaos.scenarios import SCENARIO_NAMES, ScenarioName, shared_out
from benchmarks.chaos.schedule import DEATHS, Schedule
from benchmarks.chaos.tools import ORDER_METADATA
from benchmarks.chaos.verdict import ZEROS, Seen, judge

WORKFLOW, CHAIN, ORDER = "refund-1", "first", "ORD-10000"


def key_of(chain: str = CHAIN, index: int = 1, tool: str = "refund_probed") -> Sha256:
    return ledger_key(run_root("default", WORKFLOW), chain, index, tool)


KEY = key_of()

HOLDING: tuple[ScenarioName, ...] = ("plain", "continued", "reset", "reused", "cron", "two_deaths")
"""Scenarios in which no effect is lost or made twice. The others belong here as soon as that is so."""


@pytest.mark.slow
async def test_every_effect_is_where_the_runs_say_whatever_dies(tmp_path: Path) -> None:
    options = ChaosOptions(
        runs=16,
        worlds=("sqlite",),
        scenarios=HOLDING,
        rounds=1,
        server_kills=1,
        in_flight=16,
        deadline=timedelta(seconds=150),
    )
    report = await run_chaos(options, tmp_path)
    assert report.is_clean, (tmp_path / "sqlite" / "evidence.txt").read_text()
    assert report.runs == options.runs
    assert report.scenarios["continued"].continued_as_new
    deaths = report.worlds["sqlite"].deaths
    assert deaths.worker_kills >= 6
    assert deaths.kills_in_writes >= 2 * report.scenarios["two_deaths"].runs
    assert deaths.server_kills == 1
    assert {point.partition(":")[0] for point in deaths.kills_at_points} == set(FAULT_POINTS)


# What the comparison sees.


def ended(
    effect: str | None = "done", chain: str = CHAIN, tool: str = "refund_probed", **outcome: Any
) -> Execution:
    call = ToolCallSummary.model_validate(
        {"tool_call_id": "call_1", "tool": tool, "arguments": {}, "rule": "r", "effect": effect}
    )
    values: dict[str, Any] = {
        "status": "completed",
        "output": RefundReport(refunded=effect in ("done", "counted")),
        "tool_calls": (call,),
    }
    execution = Execution(chain)
    execution.end(AgentOutcome[RefundReport](**{**values, **outcome}))
    return execution


def planned(*executions: Execution, fate: Fate = "ended", scenario: ScenarioName = "plain") -> PlannedRun:
    task = RefundTask(tool="refund_probed", order_id=ORDER, amount_usd=Decimal("5.00"))
    return PlannedRun(WORKFLOW, task, "ch_1", scenario, fate=fate, executions=list(executions))


def run(effect: str | None = "done", **outcome: Any) -> PlannedRun:
    return planned(ended(effect, **outcome))


def refund(key: str = KEY, amount: str = "5.00") -> PaymentRefund:
    return PaymentRefund(
        refund_id="re_1",
        charge_id="ch_1",
        amount_usd=Decimal(amount),
        status="succeeded",
        metadata={KEY_METADATA: key, WORKFLOW_METADATA: WORKFLOW, ORDER_METADATA: ORDER},
    )


def record(state: str, **values: Any) -> EffectRecord:
    return EffectRecord.model_validate(
        {
            "key": KEY,
            "namespace": "default",
            "workflow_id": WORKFLOW,
            "chain": CHAIN,
            "run_id": "r",
            "tool": "refund_probed",
            "tool_call_id": ToolCallId("call_1"),
            "arguments_hash": Sha256("b" * 64),
            "owner": "o",
            "lease": timedelta(seconds=10),
            "state": state,
            **values,
        }
    )


def asked(
    answer: ResolutionAction = "happened",
    key: Sha256 = KEY,
    tool: str = "refund_probed",
    earlier: Sha256 | None = None,
    earlier_chain: str = CHAIN,
) -> Question:
    before = earlier and EarlierEffect.model_validate(
        {
            "key": earlier,
            "chain": earlier_chain,
            "tool_call_id": "call_1",
            "state": "done",
            "at": "2026-11-01T00:00:00Z",
        }
    )
    effect = EffectInDoubt(
        key=key,
        tool=tool,
        tool_call_id=ToolCallId("call_1"),
        arguments={},
        detail="",
        earlier=before or None,
    )
    return Question(WORKFLOW, "why", effect, answer)


SHOWN = asked("abort", tool="refund_asked")


def found(
    run: PlannedRun,
    refunds: Sequence[PaymentRefund] = (),
    records: Sequence[EffectRecord] = (),
    questions: Sequence[Question] = (SHOWN,),
    **seen: Any,
) -> dict[str, int]:
    verdict = judge([run], Seen(refunds, records, questions, **seen))
    counts = {name: verdict.total(name) for name in ZEROS}
    assert verdict.is_clean == (not any(counts.values()))
    return {name: number for name, number in counts.items() if number}


def needless(run: PlannedRun, refunds: Sequence[PaymentRefund], question: Question, **seen: Any) -> int:
    return judge([run], Seen(refunds, (), (question,), **seen)).total("people_asked_without_need")


ABORTED: dict[str, Any] = {"effect": "unknown", "status": "escalated", "output": None}


def test_a_run_that_says_what_happened_is_clean() -> None:
    assert found(run(), [refund()], [record("done")]) == {}
    assert found(run("failed"), [], [record("failed")]) == {}
    assert found(run(**ABORTED), [refund()], [record("unknown")]) == {}
    assert found(run(**ABORTED), [], [record("unknown")]) == {}


@pytest.mark.parametrize("key", [KEY, key_of(index=2), "c" * 64])
def test_a_second_refund_of_a_run_is_a_duplicate_whatever_its_key(key: str) -> None:
    assert found(run(), [refund(), refund(key)])["duplicate_effects"] == 1


def test_a_run_that_says_done_of_what_payments_do_not_have_says_so_falsely() -> None:
    assert found(run(), []) == {"false_done": 1, "lost_effects": 1}


def test_a_run_that_says_done_of_what_another_did_says_so_falsely() -> None:
    second = planned(ended(), ended(chain="second"), scenario="reused")
    assert found(second, [refund()]) == {"false_done": 1}


@pytest.mark.parametrize(
    ("planned", "refunds"),
    [
        (run("failed"), [refund()]),
        (run(None, output=RefundReport(refunded=True)), [refund()]),
        (run(output=RefundReport(refunded=False)), [refund()]),
        (run(), [refund(amount="4.00")]),
        (run(status="cancelled", effect="failed", output=None), [refund()]),
        (run("counted"), []),
    ],
)
def test_a_run_that_says_anything_else_has_lost_an_effect(
    planned: PlannedRun, refunds: list[PaymentRefund]
) -> None:
    assert found(planned, refunds) == {"lost_effects": 1}


@pytest.mark.parametrize(("state", "refunds"), [("failed", [refund()]), ("done", [])])
def test_a_record_that_says_otherwise_is_a_lost_effect(state: str, refunds: list[PaymentRefund]) -> None:
    planned = run() if refunds else run("failed")
    assert found(planned, refunds, [record(state)]) == {"lost_effects": 1}


def test_a_record_that_somebody_has_changed_is_held_against_nobody() -> None:
    assert found(run("failed"), [], [record("done")], tampered={WORKFLOW}) == {}


def test_an_unknown_that_nobody_was_shown_is_a_lost_effect() -> None:
    assert found(run(**ABORTED), questions=()) == {"lost_effects": 1}


@pytest.mark.parametrize("state", ["intended", "unknown"])
def test_a_record_without_an_end_that_nobody_was_told_of_is_found(state: str) -> None:
    assert found(run(), [refund()], [record(state)], ()) == {"open_records": 1}


def test_a_cancelled_run_may_end_in_doubt_since_nobody_can_be_asked() -> None:
    cancelled: dict[str, Any] = {**ABORTED, "status": "cancelled"}
    assert found(run(**cancelled), [refund()], [record("unknown")], ()) == {}


def test_runs_without_an_outcome_are_lost_or_stuck_unless_the_person_is_still_to_answer() -> None:
    assert found(planned(fate="lost")) == {"lost_runs": 1}
    assert found(planned(Execution(CHAIN), fate="open")) == {"stuck_runs": 1}
    assert found(planned(fate="waiting")) == {"stuck_runs": 1}
    assert found(planned(Execution(CHAIN), fate="open"), asking={WORKFLOW}) == {}


# A workflow id that is used again, and cron schedules.

SECOND = key_of("second")


def test_an_effect_that_was_counted_is_no_second_one() -> None:
    reused = planned(ended(), ended("counted", "second"), scenario="reused")
    own = record("done", key=SECOND, chain="second", counts=KEY)
    question = asked("count", SECOND, earlier=KEY)
    assert found(reused, [refund()], [record("done"), own], [question]) == {}


def test_a_second_run_makes_a_second_refund_only_if_a_person_says_so() -> None:
    reused = planned(ended(), ended(chain="second"), scenario="reused")
    both = [refund(), refund(SECOND)]
    assert found(reused, both, (), [asked("again", SECOND, earlier=KEY)]) == {}
    assert found(reused, both) == {"duplicate_effects": 1}


def test_a_second_run_may_refund_unasked_what_the_first_did_not() -> None:
    stopped = Execution(CHAIN, fate="stopped")
    assert found(planned(stopped, ended(chain="second"), scenario="reused"), [refund(SECOND)]) == {}


def test_each_execution_of_a_cron_schedule_is_due_one_refund() -> None:
    cron = planned(ended(), ended(chain="second"), scenario="cron")
    assert found(cron, [refund(), refund(SECOND)]) == {}
    assert found(cron, [refund(), refund(SECOND), refund(SECOND)]) == {"duplicate_effects": 1}


def test_a_run_that_was_reset_is_one_piece_of_work() -> None:
    reset = planned(Execution(CHAIN, fate="stopped"), ended(), scenario="reset")
    assert found(reset, [refund()]) == {}
    assert found(reset, [refund(), refund()]) == {"duplicate_effects": 1}


# Who was asked without need.


def test_nobody_need_be_asked_of_a_write_that_payments_can_be_asked_about() -> None:
    assert needless(run(), [refund()], asked()) == 1
    assert needless(run(), [refund()], asked(tool="refund_asked")) == 0
    assert needless(run(), [refund()], asked(), tampered={WORKFLOW}) == 0
    assert needless(planned(ended(), scenario="emptied"), [refund()], asked()) == 0


def test_nobody_need_be_asked_where_no_write_is_in_doubt() -> None:
    assert needless(run(), [refund()], Question(WORKFLOW, "the model is away", None, "guide")) == 1


def test_a_person_need_be_asked_of_what_an_earlier_run_did_and_of_nothing_else() -> None:
    reused = planned(ended(), ended("counted", "second"), scenario="reused")
    assert needless(reused, [refund()], asked("count", SECOND, earlier=KEY)) == 0
    assert needless(reused, [], asked("again", SECOND, earlier=KEY)) == 1
    assert needless(run(), [refund()], asked("count", SECOND, earlier=KEY)) == 1


# What is planned.


@pytest.mark.parametrize("runs", [5, 13, 20, 100])
def test_every_scenario_has_its_share_of_the_runs(runs: int) -> None:
    dealt = shared_out(runs, SCENARIO_NAMES, seed=1)
    assert len(dealt) == runs
    assert len(set(dealt)) == min(runs, len(SCENARIO_NAMES))
    if runs == 100:
        assert (dealt.count("plain"), dealt.count("two_deaths"), dealt.count("cron")) == (16, 12, 5)


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
