"""JSON that somebody wrote by hand, or signed: a name that stands twice in an object is an error."""

import json
from typing import Any

from agentflow.contracts.wire import Json


def loads_once(text: str | bytes) -> Json:
    """A JSON document in which no object has a name twice.

    Readers differ in which of the two they take: what a person has read need not be what counts.

    Raises:
        ValueError: it is no JSON, has NaN or an infinity, or has a name twice; the text says which.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} stands twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")
