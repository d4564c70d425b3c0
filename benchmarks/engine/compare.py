"""All arms in turn, round by round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine.figures import Round, Rounds
from benchmarks.engine.measure import measure
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
    """Measure the arms: in each round each once, beginning with another one each time.

    One round more goes before, and does not count.
    """
    rounds: dict[str, list[Round]] = {arm: [] for arm in arms}
    async with on_stage(directory, dict.fromkeys(arms, workers)) as stage:
        tell(f"{workers} worker processes for each of {', '.join(arms)}")
        for number in range(size.rounds + 1):
            for arm in in_turn(arms, number):
                one = await measure(
                    stage, arm, turns=size.turns, runs=size.runs, concurrency=size.concurrency
                )
                if number:
                    rounds[arm].append(one)
                what = f"round {number}" if number else "warm-up"
                tell(f"{what}, {arm}: {one.steps_s:.1f} steps/s, {one.history_kb:.0f} kB a run")
    return rounds


def in_turn(arms: Sequence[str], number: int) -> Sequence[str]:
    """The arms in the order of a round: none is always the first, or always behind the slowest."""
    first = number % len(arms)
    return (*arms[first:], *arms[:first])
