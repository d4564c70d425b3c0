"""Order and delay: what forbids a payment comes at any moment of its way from approval to the last retry.

Freezes, revocations, lost roles, workers of another tier or with other approvers. Once it holds, no payment
may begin; what was not made is on record with the reason, a person is asked, and nothing is lost. The guard
is the question that each attempt of a write asks right before it acts. The twin's attempts ask nothing.
"""

from random import Random

from benchmarks.attacks import delayed_worlds, delayed_writes
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Forbid payments of runs on a server, and of activities by themselves; then the twin's."""
    tally = Tally()
    of_runs = max(attempts // 4, 1)
    tally.count(await delayed_writes.attack(random, attempts - of_runs))
    tally.count(await delayed_worlds.attack(stage, random, of_runs))
    tally.count_twin(await delayed_writes.attack(random, max(attempts // 10, 50), guarded=False))
    tally.count_twin(await delayed_worlds.attack(stage, random, max(attempts // 30, 16), guarded=False))
    return tally
