"""JSON as it is signed and sent: what two readers could read in two ways is refused."""

import json

from pydantic_core import from_json

from agentflow.contracts.wire import Json, canonical_json


def strict_json(text: bytes) -> Json:
    """A JSON value.

    Raises:
        ValueError: it is no JSON in UTF-8, nested deeper than ``MAX_DEPTH``, has a number that JSON doesn't
            have, or an object somewhere in it has a key twice: some readers take the first, others the last.
    """
    # In this order: Python's own parser is only shown what is known to be flat enough for it.
    canonical_json(from_json(text))
    return json.loads(text.decode("utf-8"), object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:80]!r} is there twice")
        found[key] = value
    return found
