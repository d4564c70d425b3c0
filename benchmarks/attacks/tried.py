"""What became of attacks."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tried:
    """One attempt."""

    kind: str
    """Of its family."""
    breached: bool
    """Whether it got what it wanted."""
    what: str = ""
    """What was sent and what came of it, for a breach."""


@dataclass
class Tally:
    """What the attempts of one family came to."""

    attempts: int = 0
    breaches: int = 0
    twin_attempts: int = 0
    twin_breaches: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    """Attempts by kind."""
    twin_kinds: Counter[str] = field(default_factory=Counter[str])
    """Breaches of the twin, by kind."""
    examples: list[str] = field(default_factory=list[str])
    """Breaches, in words."""

    def count(self, tried: Iterable[Tried]) -> None:
        """Add attempts on the guarded system."""
        for one in tried:
            self.attempts += 1
            self.kinds[one.kind] += 1
            if one.breached:
                self.breaches += 1
                self.examples.append(f"{one.kind}: {one.what}"[:500])

    def count_twin(self, tried: Iterable[Tried]) -> None:
        """Add attempts on the twin."""
        for one in tried:
            self.twin_attempts += 1
            if one.breached:
                self.twin_breaches += 1
                self.twin_kinds[one.kind] += 1

    def report(self) -> dict[str, object]:
        """For the output."""
        return {
            "attempts": self.attempts,
            "breaches": self.breaches,
            "twin_attempts": self.twin_attempts,
            "twin_breaches": self.twin_breaches,
            "kinds": dict(sorted(self.kinds.items())),
            "twin_breaches_by_kind": dict(sorted(self.twin_kinds.items())),
        }
