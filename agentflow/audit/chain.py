"""The decision log as bytes, the hashes that chain it, and the one hash that stands for all of it.

A line is a record in the canonical JSON of RFC 8785; records hold no floats, whose form is all that would
need more than ``canonical_json``. Leaves and inner nodes of the Merkle tree are hashed as in RFC 6962.
"""

import hashlib
from collections.abc import Sequence
from typing import cast

from agentflow.contracts.audit import Record
from agentflow.contracts.wire import Json, Sha256, canonical_json

NO_RECORD = Sha256("0" * 64)
"""What precedes the first record."""


def line_of(record: Record) -> bytes:
    """A record's line, without its end.

    Raises:
        ValueError: it holds a float.
    """
    value = record.model_dump(mode="json")
    _check_no_floats(value)
    return canonical_json(value)


def leaf_hash(line: bytes) -> Sha256:
    """A record's hash: what the record after it names, and a leaf of the tree."""
    return Sha256(hashlib.sha256(b"\x00" + line).hexdigest())


def merkle_root(leaves: Sequence[Sha256]) -> Sha256:
    """The root over records, in their order (RFC 6962, 2.1); of none, the hash of nothing."""
    if not leaves:
        return Sha256(hashlib.sha256(b"").hexdigest())
    level = [bytes.fromhex(leaf) for leaf in leaves]
    # From the leaves up; a node without a neighbour rises as it is, which is the tree that RFC 6962 draws.
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return Sha256(level[0].hex())


def _check_no_floats(value: Json) -> None:
    if isinstance(value, float):
        raise ValueError(f"a record holds no floats, and {value!r} is one")
    if isinstance(value, dict):
        value = list(cast(dict[str, Json], value).values())
    if isinstance(value, list):
        for part in cast(list[Json], value):
            _check_no_floats(part)
