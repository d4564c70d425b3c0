"""Retries, faults and prices: an outside system bills each call, and loses answers, and workers die.

Each attempt, each resend with a key and each probe may be billed. The budget is passed if more was billed
than the run has settled, or if more was ever settled and reserved than the budget is. The guard reserves for
every attempt that may be made and settles each that was made or may have been. The twin settles one price a
call.
"""

from decimal import Decimal
from random import Random

from benchmarks.attacks.billing import FATES, KINDS, Played, World
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried

_PRICES = ("0", "0.000000000001", "0.01", "0.1", "0.1", "0.333333333333", "7")


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Play worlds; then some of them without the guard."""
    tally = Tally()
    for _ in range(attempts):
        tally.count([await _tried(_drawn(random))])
    for _ in range(max(attempts // 10, 100)):
        tally.count_twin([await _tried(_drawn(random), guarded=False)])
    return tally


def _drawn(random: Random) -> World:
    price = Decimal(random.choice(_PRICES))
    # Around what some attempts cost.
    budget = price * random.randint(0, 12) + random.choice([Decimal(0), price / 2, Decimal("1e-12")])
    return World(
        kind=random.choice(KINDS),
        price=price,
        probe_price=random.choice([None, None, Decimal(0), Decimal("0.1"), Decimal("0.02")]),
        budget=budget.quantize(Decimal("1e-12")),
        attempts=random.randint(1, 5),
        fates=tuple(random.choice(FATES) for _ in range(random.randint(0, 16))),
        has_effect=tuple(random.random() < 0.5 for _ in range(3)),
        calls=random.randint(1, 4),
    )


async def _tried(world: World, *, guarded: bool = True) -> Tried:
    run = Played(world, guarded=guarded)
    await run.play()
    billed, settled = run.outside.billed, run.settled
    breached = billed > settled or billed > world.budget or run.purse_was_passed
    return Tried(world.kind, breached, f"billed {billed}, settled {settled} by {world}" if breached else "")
