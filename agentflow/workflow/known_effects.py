"""What a run knows of its writes: which effects there are, and which ledgers have their records."""

from collections.abc import Mapping

from agentflow.contracts.ledger import LedgerPin
from agentflow.contracts.wire import Sha256


class KnownEffects:
    """Kept by a run from execution to execution."""

    def __init__(self) -> None:
        self.works: Mapping[Sha256, tuple[Sha256, ...]] = {}
        """By what writes do: the keys of the effects that the run knows of."""
        self.ledgers: Mapping[str, LedgerPin] = {}
        """By task queue, the run's own being the empty name: where its writes are recorded."""

    def of_work(self, work: Sha256) -> tuple[Sha256, ...]:
        """The keys of the effects of one piece of work."""
        return self.works.get(work, ())

    def add(self, work: Sha256, key: Sha256) -> None:
        """There is an effect of the run's own, or one of an earlier run that people have decided on."""
        known = self.of_work(work)
        if key not in known:
            self.works = {**self.works, work: (*known, key)}

    def ledger_of(self, queue: str | None) -> LedgerPin | None:
        """Where the writes of a task queue are recorded; ``None`` before the first one."""
        return self.ledgers.get(queue or "")

    def pin(self, queue: str | None, ledger: str) -> LedgerPin:
        """The writes of a task queue are recorded in this ledger, unless they are in another one already."""
        self.ledgers = {queue or "": LedgerPin(id=ledger), **self.ledgers}
        return self.ledgers[queue or ""]

    def recorded(self, queue: str | None, key: Sha256) -> None:
        """The ledger of a task queue has a record of this key: the next write sees by it that it is whole."""
        last = self.ledgers[queue or ""].model_copy(update={"last": key})
        self.ledgers = {**self.ledgers, queue or "": last}
