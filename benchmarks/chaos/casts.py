"""Who serves which runs: casts of workers, each with a task queue, its ledger and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activities.local_stack import LOCAL_KEY
from benchmarks.chaos.clock import OFFSET
from benchmarks.chaos.ledgers import WorldName
from benchmarks.chaos.places import Place, Places
from benchmarks.chaos.runs import PlannedRun
from benchmarks.chaos.scenarios import SCENARIOS, CastName
from benchmarks.chaos.worker import Death, Orders

SIZES: Mapping[CastName, int] = {
    "common": 3,
    "doomed": 3,
    "threads": 2,
    "other_ledger": 4,
    "emptied": 2,
    "restored": 2,
    "clocks": 3,
    "cut_store": 2,
}
"""How many workers each has."""

_OF_THEIR_OWN: Sequence[CastName] = ("other_ledger", "emptied", "restored", "clocks", "cut_store")
"""Casts that would disturb others in their ledger."""

_CLOCKS = (-OFFSET, OFFSET * 0, OFFSET)
"""By place in the cast."""


@dataclass
class Casts:
    """Those that a world's runs need, and what their workers are told."""

    world: WorldName
    temporal: str
    payments: str
    directory: Path
    runs: Sequence[PlannedRun]
    names: tuple[CastName, ...]
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    """Ledgers, by cast; ``main`` is everybody's who has none of their own."""

    async def make_ledgers(self, places: Places) -> None:
        """Make a ledger for each cast that needs one."""
        if {*self.names} - {*_OF_THEIR_OWN}:
            self.places["main"] = await places.place("main")
        for name in self.names:
            if name in _OF_THEIR_OWN:
                self.places[name] = await (places.cut(name) if name == "cut_store" else places.place(name))
        if "other_ledger" in self.names:
            self.places["another"] = await places.place("another")
        if "emptied" in self.names:
            self.places["new"] = await places.place("new")

    def place_of(self, cast: CastName, worker: int = 0) -> Place:
        """The ledger of a worker, by its place in the cast."""
        if cast == "other_ledger" and worker % 2:
            return self.places["another"]
        return self.places[cast if cast in _OF_THEIR_OWN else "main"]

    def orders(self, cast: CastName, worker: int, death: Death | None) -> Orders:
        """What a worker is told."""
        is_file = self.world == "sqlite"
        return Orders(
            temporal=self.temporal,
            task_queue=f"chaos-{cast}",
            payments=self.payments,
            api_key=LOCAL_KEY,
            directory=self.directory,
            world=self.world,
            ledger=self.place_of(cast, worker).address,
            death=death,
            deaths={
                run.workflow_id: run.deaths
                for run in self.runs
                if SCENARIOS[run.scenario].cast == cast and run.deaths
            },
            full_disk=cast == "cut_store" and is_file,
            clock_seconds=_CLOCKS[worker].total_seconds() if cast == "clocks" else 0.0,
        )
