"""A run's state in parts: what may be long of it apart from the rest, as texts that payloads take."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agentflow.contracts.carried import StatePart
from agentflow.contracts.wire import Json
from agentflow.core.transcript import text_hash

_LONG = (
    "past_calls",
    "summaries",
    "evidence",
    "guidance",
    "decisions",
    "pending",
    "works",
    "carried_turn",
    "progress",
)
"""Fields of ``CarriedRun`` that grow with what a run does. Others stay where readers of history find them."""
PARTS, BYTES = "parts", "parts_bytes"


def split(state: Mapping[str, Json], part_bytes: int) -> tuple[dict[str, Json], list[StatePart]]:
    """A state without what may be long of it, and that in parts.

    Args:
        state: A ``CarriedRun`` as JSON.
        part_bytes: The most that a payload may have.
    """
    text = json.dumps({name: state[name] for name in _LONG if name in state}, separators=(",", ":"))
    # The text is ASCII, of which JSON within JSON has two bytes a character at most.
    step = max(part_bytes // 3, 1)
    pieces = [text[start : start + step] for start in range(0, len(text), step)]
    parts = [StatePart(name=text_hash(piece), text=piece) for piece in pieces]
    short = {name: value for name, value in state.items() if name not in _LONG}
    return {**short, PARTS: [part.name for part in parts], BYTES: len(text)}, parts


def is_split(state: object) -> bool:
    """Whether parts of a state are elsewhere."""
    return isinstance(state, Mapping) and PARTS in state


def parts_of(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the parts that are elsewhere, in order."""
    return tuple(str(name) for name in cast(Sequence[object], state.get(PARTS) or ()))


def joined(state: Mapping[str, Json], texts: Sequence[str]) -> dict[str, Json]:
    """The state with its parts.

    Args:
        state: What ``split`` left of it.
        texts: Its parts, in order.

    Raises:
        ValueError: they are none of its parts.
    """
    if tuple(map(text_hash, texts)) != parts_of(state):
        raise ValueError("the parts of the state are others than it names")
    long: dict[str, Json] = json.loads("".join(texts))
    short = {name: value for name, value in state.items() if name not in (PARTS, BYTES)}
    return {**short, **long}
