"""Seals of the ledger's records: which of them a worker of the fleet wrote, and as which version.

Whoever can write to the ledger has no keys, so what they write is told from what a worker wrote: another
state, result or count of attempts, a record under another key, an old state as a new version. Not told is
a whole row put back as it was, with its version: that is what a worker wrote once.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from agentflow.contracts.effects import EffectRecord, StoredEffect
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.seal import MAC_BYTES, SealKeys

_FORM = re.compile(rf"([A-Za-z0-9_-]{{1,32}})\.([0-9a-f]{{{2 * MAC_BYTES}}})")
_SEAL = "seal"
_FIELDS = [(name, field.default) for name, field in EffectRecord.model_fields.items() if name != _SEAL]
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Unsealed:
    """A record that is there, and that no worker of the fleet wrote as it stands."""

    stored: StoredEffect
    """To be replaced by its version, and shown to people. Nothing that it says is to be acted on."""

    def __str__(self) -> str:
        record = self.stored.record
        return (
            f"the record of {record.tool} was not written by a worker of this fleet (key {record.key}, "
            f"version {self.stored.version}): look in the outside system, and at who can write to the ledger"
        )


def sealed(record: EffectRecord, version: int, keys: SealKeys) -> EffectRecord:
    """The record as a worker writes it.

    Args:
        record: What it says.
        version: That it will be.
        keys: The fleet's.
    """
    kid, mac = keys.mac(_message(record, version))
    return record.model_copy(update={_SEAL: f"{kid}.{mac.hex()}"})


def is_sealed(stored: StoredEffect, keys: SealKeys) -> bool:
    """Whether a worker of the fleet wrote all that the record says, as this version of it."""
    form = _FORM.fullmatch(stored.record.seal)
    if form is None:
        return False
    return keys.is_genuine(form[1], _message(stored.record, stored.version), bytes.fromhex(form[2]))


def _message(record: EffectRecord, version: int) -> bytes:
    # A field that says nothing is left out: one that a later version of agentflow adds breaks no seal.
    said = {name: _plain(value) for name, default in _FIELDS if (value := getattr(record, name)) != default}
    text = canonical_json([version, said]).decode("utf-8", "surrogatepass")
    # As the ledgers keep it: they take no lone surrogate.
    return b"record\n" + _SURROGATES.sub("\ufffd", text).encode()


def _plain(value: Json | timedelta) -> Json:
    # As long as a database can count.
    return min(value // timedelta(microseconds=1), 2**63 - 1) if isinstance(value, timedelta) else value
