"""A small run of the engine benchmark. How fast it is, is the benchmark's own matter."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from benchmarks.engine import pictures
from benchmarks.engine.__main__ import main
from benchmarks.engine.figures import fit, ratio, summary
from benchmarks.engine.measure import Round

ROOT = Path(__file__).parents[2]


def measured(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engine", *arguments, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--arms", "naive,agentflow-local"], "there is no agentflow-local; there are naive, minimal,"),
        (["--turns", "0"], "'0' is no number from 1 on"),
        (["growth", "--sizes", "10"], "a line takes two sizes"),
        (["scale", "--workers", "1,two"], "'two' is no number from 1 on"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["engine", *arguments])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.slow
def test_the_history_of_agentflow_is_small_beside_the_workflow_written_by_hand() -> None:
    arms = ("--arms", "naive,agentflow,agentflow_local")
    found = measured("--turns", "10", "--runs", "2", "--concurrency", "2", "--rounds", "1", *arms)
    assert min(found["steps_s_ratio_naive"], found["steps_s_local_ratio_naive"]) > 0
    assert found["history_kb"] < 0.5 * found["history_kb_naive"]
    assert found["history_kb"] < 60
    assert found["history_kb_local"] < found["history_kb"]
    assert found["history_events_local"] < 0.75 * found["history_events"]


@pytest.mark.slow
def test_the_memory_of_a_worker_is_told_in_each_fifth_of_each_run() -> None:
    found = cast(Any, measured("memory", "--turns", "20", "--runs", "2"))
    assert [len(parts) for parts in found["rss_mb"]] == [5, 5]
    assert all(50 < mb < 500 for parts in found["rss_mb"] for mb in parts)


@pytest.mark.slow
def test_history_is_linear_in_the_turns() -> None:
    found = measured("growth", "--sizes", "10,20,50", "--arms", "agentflow,agentflow_local")
    ten, twenty, fifty = found["agentflow_history_kb"]  # type: ignore[misc]
    assert fifty <= 260
    assert found["agentflow_local_history_kb"][-1] <= 192  # type: ignore[index]
    assert found["agentflow_r2"] > 0.99
    assert twenty - ten == pytest.approx((fifty - twenty) / 3, rel=0.1)


@pytest.mark.slow
def test_runs_survive_the_loss_of_every_workers_memory_and_of_the_blobs() -> None:
    found = measured("loss", "--runs", "2", "--turns", "10")
    assert (found["completed"], found["lost"]) == (2, 0)
    assert found["losses"] > 0


def a_round(steps_s: float, cpu_ms: float = 1.0) -> Round:
    return Round(steps_s, cpu_ms, 1, 1, 1, 1, 1, 1, 1, 1)


def test_a_ratio_is_of_the_same_round() -> None:
    # The machine became slower: each round says 2, the medians of the rounds together would say 3.
    rounds = {
        "agentflow": [a_round(20), a_round(12), a_round(2)],
        "naive": [a_round(10), a_round(4), a_round(1)],
    }
    assert ratio(rounds, "steps_s", "agentflow", "naive") == 2


def test_the_summary_names_each_arms_figures() -> None:
    found = summary({"agentflow": [a_round(20)], "agentflow_local": [a_round(30)], "naive": [a_round(10)]})
    assert (found["steps_s"], found["steps_s_local"], found["steps_s_naive"]) == (20, 30, 10)
    assert (found["steps_s_ratio_naive"], found["steps_s_local_ratio_naive"]) == (2, 3)


def test_the_fit_tells_a_line_from_a_square() -> None:
    assert fit([(x, 3 * x + 1) for x in (1, 2, 5, 10)]) == pytest.approx((3, 1, 1))
    assert fit([(x, x**4) for x in (1, 2, 5, 10, 20)])[2] < 0.9


@pytest.mark.parametrize(
    "chart",
    [
        pictures.bars("Speed <&>", {"a": 1.0, "b": 20.5}, "steps/s"),
        pictures.lines("Growth", {"a": [(1, 10), (10, 100)], "b": [(1, 10), (10, 1000)]}, "turns", "kB"),
    ],
)
def test_a_picture_is_well_formed(chart: str) -> None:
    assert ElementTree.fromstring(chart).tag.endswith("svg")
