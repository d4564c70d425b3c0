"""Places in recorded tool outputs that a reason rests on."""

import re
from collections.abc import Sequence
from typing import cast

from agentflow.contracts.outcome import Evidence
from agentflow.contracts.wire import Json, ToolCallId
from agentflow.core.provenance import PastCall

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


def cite(past_calls: Sequence[PastCall], call_id: str, pointer: str) -> Evidence | None:
    """The cited place and what is there, or ``None`` when there is no such place.

    Args:
        past_calls: The run's tool calls that were carried out.
        call_id: The tool call's id.
        pointer: JSON Pointer (RFC 6901) into its output; empty is the whole.
    """
    call = next((past for past in reversed(past_calls) if past.call_id == call_id), None)
    if call is None or not _POINTER.fullmatch(pointer):
        return None
    place: Json = call.output
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            place = _step(place, key)
        except (KeyError, IndexError, ValueError):  # ValueError: an index of thousands of digits
            return None
    return Evidence(tool=call.tool, tool_call_id=ToolCallId(call.call_id), pointer=pointer, value=place)


def _step(place: Json, key: str) -> Json:
    if isinstance(place, dict):
        return cast(dict[str, Json], place)[key]
    # RFC 6901: an index has no sign, no leading zero, and ASCII digits only.
    if isinstance(place, list) and key.isascii() and key.isdigit() and (key == "0" or key[0] != "0"):
        return cast(list[Json], place)[int(key)]
    raise KeyError(key)
