"""All arms in turn, round by round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine.figures import Rounds
from benchmarks.engine.measure import Round, measure
from benchmarks.engine.stage import on_stage

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    turns: int = 10
    runs: int = 20
    """In each round, of each arm."""
    concurrency: int = 10
    rounds: int = 5


async def compare(directory: Path, arms: Sequence[str], size: Size, tell: Tell, workers: int = 1) -> Rounds:
    """Measure the arms: in each round each once, beginning with another one each time."""
    rounds: dict[str, list[Round]] = {arm: [] for arm in arms}
    async with on_stage(directory, dict.fromkeys(arms, workers)) as stage:
        for arm in arms:
            await measure(stage, arm, turns=size.turns, runs=max(2, workers), concurrency=size.concurrency)
        for number in range(size.rounds):
            first = number % len(arms)
            for arm in (*arms[first:], *arms[:first]):
                one = await measure(
                    stage, arm, turns=size.turns, runs=size.runs, concurrency=size.concurrency
                )
                rounds[arm].append(one)
                tell(f"round {number + 1}, {arm}: {one.steps_s:.1f} steps/s, {one.history_kb:.0f} kB a run")
    return rounds
