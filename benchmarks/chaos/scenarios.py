"""The scenarios: what goes wrong for a run besides the deaths that all share, and who serves it."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

ScenarioName = Literal[
    "plain",
    "continued",
    "reset",
    "reused",
    "cron",
    "two_deaths",
    "threads",
    "other_ledger",
    "emptied",
    "restored",
    "clocks",
    "cut_store",
    "lying_writer",
]

SCENARIO_NAMES: tuple[ScenarioName, ...] = get_args(ScenarioName)

CastName = Literal[
    "common", "doomed", "threads", "other_ledger", "emptied", "restored", "clocks", "cut_store"
]
"""A group of workers with a task queue of its own."""


@dataclass(frozen=True)
class Scenario:
    """One thing that goes wrong."""

    share: int
    """How many of a hundred runs have it."""
    cast: CastName
    tells: str
    """What goes wrong."""


SCENARIOS: Mapping[ScenarioName, Scenario] = {
    "plain": Scenario(16, "common", "workers die at fault points, are shot and frozen"),
    "continued": Scenario(6, "common", "the run continues as new every few turns"),
    "reset": Scenario(6, "common", "an operator resets the run, at work or ended"),
    "reused": Scenario(9, "common", "the workflow id is used again for the same refund"),
    "cron": Scenario(5, "common", "two or three executions of a cron schedule"),
    "two_deaths": Scenario(12, "doomed", "two workers die in one write between the wire and the record"),
    "threads": Scenario(6, "threads", "a tool's thread pays after its attempt has timed out"),
    "other_ledger": Scenario(7, "other_ledger", "half the workers of the queue have another ledger"),
    "emptied": Scenario(6, "emptied", "the ledger is emptied while a write is in doubt"),
    "restored": Scenario(6, "restored", "a backup of the ledger takes its place"),
    "clocks": Scenario(8, "clocks", "workers' clocks are 400 days early, right and 400 days late"),
    "cut_store": Scenario(6, "cut_store", "the ledger's connections or disk fail in mid write"),
    "lying_writer": Scenario(7, "doomed", "somebody writes untrue rows into the ledger, or deletes them"),
}

LEDGER_IS_LOST: Collection[ScenarioName] = {"other_ledger", "emptied", "restored"}
"""Where a record that isn't there, or is another one, says nothing about agentflow."""


def shared_out(runs: int, names: Sequence[ScenarioName], seed: int) -> list[ScenarioName]:
    """A scenario for each run: each as often as its share says, in an order of the seed's.

    Args:
        runs: How many; of fewer than there are names, the first names are had.
        names: Which scenarios there are.
        seed: Decides on the order.
    """
    total = sum(SCENARIOS[name].share for name in names)
    exact = {name: runs * SCENARIOS[name].share / total for name in names}
    counts = {name: max(1, int(exact[name])) for name in names}
    by_rest = sorted(names, key=lambda name: exact[name] - counts[name])
    while sum(counts.values()) < runs:
        counts[by_rest.pop()] += 1
    while sum(counts.values()) > runs:
        most = max(reversed(names), key=counts.__getitem__)
        counts[most] -= 1
    dealt: list[ScenarioName] = [name for name in names for _ in range(counts[name])]
    random.Random(f"{seed}/scenarios").shuffle(dealt)
    return dealt
