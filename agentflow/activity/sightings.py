"""How long this process has seen a record of the ledger unchanged: an age that no stamp can make less.

A record may be dated ahead, by whatever clock: by its stamp its lease would be over in days. Whoever has seen
one version of it for the whole lease, by a clock that nobody sets, knows that it is over.
"""

import threading
from collections import OrderedDict
from datetime import timedelta
from weakref import WeakKeyDictionary

from agentflow.activity import machine_clock
from agentflow.contracts.effects import StoredEffect
from agentflow.contracts.wire import Sha256
from agentflow.ports.ledger import EffectLedger

MOST_SEEN = 10_000
"""How many records are remembered; the one that was seen longest ago is forgotten first."""


class Sightings:
    """The records of one ledger that wait for their lease, each since this process saw its version first."""

    def __init__(self) -> None:
        self._first: OrderedDict[Sha256, tuple[int, str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def aged(self, stored: StoredEffect, asked_us: int) -> StoredEffect:
        """The record with the age that is certain: by its stamp, or by how long it has been seen.

        Args:
            stored: As the ledger answered it just now.
            asked_us: When it was asked for, by ``machine_clock.uptime_us``.
        """
        key = stored.record.key
        with self._lock:
            if stored.record.state != "intended":
                self._first.pop(key, None)
                return stored
            version, owner, since_us = self._first.pop(key, (0, "", 0))
            # The owner as well: in a ledger that was made anew, versions begin anew.
            if (version, owner) != (stored.version, stored.record.owner):
                # Since its answer came: it may have been written right before.
                since_us = machine_clock.uptime_us()
            self._first[key] = stored.version, stored.record.owner, since_us
            if len(self._first) > MOST_SEEN:
                self._first.popitem(last=False)
        seen_for = timedelta(microseconds=asked_us - since_us)
        return stored.model_copy(update={"age": seen_for}) if seen_for > stored.age else stored


_OF_LEDGERS: "WeakKeyDictionary[EffectLedger, Sightings]" = WeakKeyDictionary()
_OF_OTHERS: dict[int, tuple[EffectLedger, Sightings]] = {}
"""Of ledgers that no such dictionary takes. They are kept as well: another one must not come to their id."""


def sightings_of(ledger: EffectLedger) -> Sightings:
    """What this process has seen of a ledger, whoever looked."""
    try:
        return _OF_LEDGERS.setdefault(ledger, Sightings())
    except TypeError:
        return _OF_OTHERS.setdefault(id(ledger), (ledger, Sightings()))[1]
