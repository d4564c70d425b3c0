"""How much of a chaos run, of what, for how long."""

from dataclasses import dataclass
from datetime import timedelta

from benchmarks.chaos.ledgers import WorldName
from benchmarks.chaos.scenarios import SCENARIO_NAMES, ScenarioName


@dataclass(frozen=True)
class ChaosOptions:
    """How much, of what, for how long."""

    runs: int = 300
    """In all worlds together."""
    seed: int = 1
    worlds: tuple[WorldName, ...] = ("sqlite", "postgres", "dynamodb")
    scenarios: tuple[ScenarioName, ...] = SCENARIO_NAMES
    in_flight: int = 60
    """Runs that are under way at the same time."""
    server_kills: int | None = None
    """In each world; by default one, and one more for each 75 of its runs beyond the first."""
    rounds: int | None = None
    """How often workers die at each fault point; as long as the runs last by default."""
    runs_per_shot: int = 12
    """A worker is killed from outside each time that about so many runs have ended."""
    runs_per_freeze: int = 24
    """A worker is stopped for a while each time that about so many runs have ended."""
    longest_freeze: timedelta = timedelta(seconds=15)
    cancelled: float = 0.0
    """How many of the plain runs somebody cancels, from 0 to 1."""
    deadline: timedelta = timedelta(minutes=5)
    """When runs of a world that are still open count as stuck."""

    def runs_of(self, place: int) -> int:
        """How many runs the world at a place has: as many as the others, or one more."""
        return self.runs // len(self.worlds) + (place < self.runs % len(self.worlds))

    def server_kills_of(self, runs: int) -> int:
        """How often the Temporal server is killed in a world of so many runs."""
        return max(1, runs // 75) if self.server_kills is None else self.server_kills
