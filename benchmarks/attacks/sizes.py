"""Sizes: more of something than there may be, at each door where it comes in.

Arguments, answers, results, signals, lines of logs and states are made long, deep, wide or many. An attempt
gets through if it takes too long, ends in an error that is no refusal, passes a limit, or if what is taken
is something else than what was sent. The twin has no limits, or Python's own.
"""

from collections.abc import Iterator
from random import Random

from benchmarks.attacks.interrupted import Stopwatch, TooSlowError, broken_off
from benchmarks.attacks.size_doors import DOORS
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried

TWIN_SHARE = 10


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Send too much, through the functions that each door goes through: no server is needed."""
    del stage
    tally = Tally()
    for _ in range(attempts):
        tally.count(_tried(random))
    # In order, so that each door's twin is tried.
    for number in range(max(attempts // TWIN_SHARE, 2 * len(DOORS))):
        tally.count_twin(_twin(random, list(DOORS)[number % len(DOORS)]))
    return tally


def _tried(random: Random) -> Iterator[Tried]:
    name = random.choice(list(DOORS))
    sent = DOORS[name](random)
    watch = Stopwatch()
    try:
        problem = sent.guarded()
    except Exception as error:
        problem = f"raised {type(error).__name__}: {error}"
    problem = watch.too_slow() or problem
    yield Tried(name, problem is not None, f"{problem} ({sent.what})")


def _twin(random: Random, name: str) -> Iterator[Tried]:
    sent = DOORS[name](random)
    try:
        with broken_off():
            problem = sent.unguarded()
    except TooSlowError:
        problem = "took too long"
    except Exception as error:
        problem = f"raised {type(error).__name__}"
    yield Tried(name, problem is not None)
