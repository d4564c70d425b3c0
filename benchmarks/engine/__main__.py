"""``python -m benchmarks.engine [compare|growth|scale|settings|memory|loss]``."""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import benchmarks.engine
from benchmarks.command_line import add_json, machine, positive_int, print_report, some_of, teller
from benchmarks.engine import pictures
from benchmarks.engine.arms import ARMS
from benchmarks.engine.compare import Size, compare
from benchmarks.engine.figures import medians, medians_by_name, ratio, summary, table
from benchmarks.engine.growth import ARMS as GROWING_ARMS
from benchmarks.engine.growth import growth, naive_limit
from benchmarks.engine.loss import lose
from benchmarks.engine.memory import memory
from benchmarks.engine.settings import compare_settings


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    given = _parser().parse_args()
    tell = teller()
    with tempfile.TemporaryDirectory(prefix="agentflow-engine-", ignore_cleanup_errors=True) as directory:
        try:
            found = asyncio.run(_MEASURES[given.measure](given, Path(directory), tell))
        except KeyboardInterrupt:
            return 130
    print_report({**found, **machine()}, as_json=given.json)
    return 1 if found.get("lost") else 0


async def _compare(given: argparse.Namespace, directory: Path, tell: Any) -> dict[str, Any]:
    size = Size(given.turns, given.runs, given.concurrency, given.rounds)
    rounds = await compare(directory, given.arms, size, tell)
    rows = medians_by_name(rounds)
    print(table(rows))
    if given.pictures:
        speeds = {arm: row["steps_s"] for arm, row in rows.items()}
        title = f"Steps a second, {given.turns} turns of 2 kB, {given.concurrency} runs at a time"
        _draw(given.pictures, f"steps-{given.turns}.svg", pictures.bars(title, speeds, "steps/s"))
    return {**asdict(size), **summary(rounds)}


async def _growth(given: argparse.Namespace, directory: Path, tell: Any) -> dict[str, Any]:
    turns: list[int] = given.sizes
    arms = [arm for arm in GROWING_ARMS if arm in given.arms]
    found = await growth(directory / "growth", arms, turns, tell)
    if given.naive_limit:
        found["naive_at_most_turns"] = await naive_limit(directory / "limit", max(turns))
    if given.pictures:
        series = {arm: list(zip(turns, found[f"{arm}_history_kb"], strict=False)) for arm in arms}
        chart = pictures.lines("History of one run", series, "turns", "kB")
        _draw(given.pictures, "growth.svg", chart)
    return found


async def _scale(given: argparse.Namespace, directory: Path, tell: Any) -> dict[str, Any]:
    size = Size(given.turns, given.runs, given.concurrency, given.rounds)
    found: dict[str, Any] = {"workers": given.workers}
    arms = ("naive", "agentflow", "agentflow_local")
    for count in found["workers"]:
        tell(f"{count} workers")
        rounds = await compare(directory / str(count), arms, size, tell, count)
        for arm in arms:
            found.setdefault(f"{arm}_steps_s", []).append(medians(rounds[arm])["steps_s"])
        found.setdefault("steps_s_ratio_naive", []).append(ratio(rounds, "steps_s", "agentflow", "naive"))
    return found


async def _settings(given: argparse.Namespace, directory: Path, tell: Any) -> dict[str, Any]:
    at_once = given.runs
    size = Size(given.turns, given.runs, at_once, given.rounds)
    found = medians_by_name(await compare_settings(directory, size, tell))
    print(table(found))
    return {**asdict(size), "settings": found}


async def _memory(given: argparse.Namespace, directory: Path, tell: Any) -> dict[str, Any]:
    return await memory(directory, Size(given.turns, given.runs), tell)


async def _loss(given: argparse.Namespace, directory: Path, tell: Any) -> dict[str, Any]:
    return await lose(directory, Size(given.turns, given.runs), tell)


_MEASURES = {
    "compare": _compare,
    "growth": _growth,
    "scale": _scale,
    "settings": _settings,
    "memory": _memory,
    "loss": _loss,
}


def _draw(folder: Path, name: str, chart: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(chart, "utf-8")


def _counts(text: str) -> list[int]:
    return [positive_int(part) for part in text.split(",")]


def _sizes(text: str) -> list[int]:
    sizes = _counts(text)
    if len(set(sizes)) < 2:
        raise argparse.ArgumentTypeError("a line takes two sizes")
    return sizes


def _parser() -> argparse.ArgumentParser:
    defaults = Size()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine",
        description=benchmarks.engine.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measure", nargs="?", choices=list(_MEASURES), default="compare")
    parser.add_argument("--turns", type=positive_int, default=defaults.turns, help="of each run")
    parser.add_argument("--runs", type=positive_int, default=defaults.runs, help="in each round, of each arm")
    parser.add_argument(
        "--concurrency", type=positive_int, default=defaults.concurrency, help="runs at a time"
    )
    parser.add_argument("--rounds", type=positive_int, default=defaults.rounds)
    parser.add_argument("--arms", type=some_of(ARMS), default=",".join(ARMS), help="what is compared")
    parser.add_argument("--sizes", type=_sizes, default="10,50,200,1000", help="turns of the runs of growth")
    parser.add_argument(
        "--naive-limit", action="store_true", help="see how the naive run ends at the most turns"
    )
    parser.add_argument("--workers", type=_counts, default="1,2,4", help="worker processes of scale")
    parser.add_argument("--pictures", type=Path, help="folder for charts as SVG")
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
