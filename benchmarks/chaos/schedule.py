"""Who dies where and when, from a seed."""

import random
from collections import Counter

from agentflow.testing import FaultPoint
from benchmarks.chaos.tools import ASKED, PROBED, TOOLS
from benchmarks.chaos.worker import Death

_LEDGER: tuple[FaultPoint, ...] = ("before_intend", "after_intend", "after_effect", "after_done")
_TEMPORAL: tuple[FaultPoint, ...] = ("before_completion", "in_workflow_task")

DEATHS: tuple[tuple[FaultPoint, str], ...] = (
    *((point, tool) for point in _LEDGER for tool in TOOLS),
    *((point, name) for point in _TEMPORAL for name in (*TOOLS, "chat")),
    ("after_model_answer", "chat"),
)
"""Every fault point, with every tool, and with the model where it can be."""

_LAST_PASSAGE = {PROBED: 6, ASKED: 2, "chat": 10}
"""The latest passage at which a worker dies, in a chaos run of ``_MANY`` runs. Fewer runs use the tool that
can't be asked."""
_MANY = 300


class Schedule:
    """Deals deaths out to workers: all points in turn, in an order of the seed's."""

    def __init__(self, seed: int, runs: int, rounds: int | None = None) -> None:
        """Prepare.

        Args:
            seed: Decides on the order and on the passages.
            runs: How many there are: of few, workers die at the first passages.
            rounds: How often each kind of death is dealt out; no limit by default.
        """
        self.random: random.Random = random.Random(f"{seed}/schedule")
        self.died: Counter[tuple[FaultPoint, str]] = Counter()
        """How often each has happened."""
        self._patience = min(1.0, runs / _MANY)
        self._rounds_left = rounds
        self._waiting: list[tuple[FaultPoint, str]] = []

    def deal(self) -> Death | None:
        """The death of the next worker; ``None`` for one that lives."""
        if not self._waiting:
            if self._rounds_left == 0:
                return None
            self._rounds_left = None if self._rounds_left is None else self._rounds_left - 1
            self._waiting = self._a_round()
        point, name = self._waiting.pop(0)
        latest = max(1, round(_LAST_PASSAGE[name] * self._patience))
        # Nothing else than the model answers there, so the plan takes no name.
        named = "" if point == "after_model_answer" else name
        return Death(at=point, name=named, passage=self.random.randint(1, latest))

    def happened(self, death: Death) -> None:
        """A worker died as it was told."""
        self.died[death.at, death.name or "chat"] += 1

    def put_back(self, death: Death) -> None:
        """A worker was killed before it came to it: the next one is to die that way."""
        self._waiting.insert(0, (death.at, death.name or "chat"))

    def _a_round(self) -> list[tuple[FaultPoint, str]]:
        """All deaths: the first of each point first, and last those that have to be waited for."""
        shuffled = self.random.sample(DEATHS, len(DEATHS))
        seen: Counter[str] = Counter()
        ranked: list[tuple[bool, int, tuple[FaultPoint, str]]] = []
        for point, name in shuffled:
            ranked.append((name == ASKED, seen[point], (point, name)))
            seen[point] += name != ASKED
        return [death for _, _, death in sorted(ranked, key=lambda one: one[:2])]
