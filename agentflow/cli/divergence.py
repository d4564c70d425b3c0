"""What a failed replay says, for a person: Temporal's core reports it as the debug text of a Rust struct."""

import re
from dataclasses import dataclass

_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_TYPE = re.compile(r'r#type: "(\w+)"')
_FRAME = re.compile(r'File \\"([^"\\]+)\\", line (\d+)')
_EVENT = re.compile(r"HistoryEvent\(id: (\d+), (\w+)\)")
_NONDETERMINISM = re.compile(r"^\[TMPRL1100\] Nondeterminism error: ")


@dataclass(frozen=True)
class Divergence:
    """The first place where today's code does something else than a run did."""

    message: str
    event_id: int | None = None
    """The event of the history that today's code doesn't lead to, if Temporal says."""
    event_type: str | None = None
    place: str | None = None
    """``file:line`` of an exception in today's code."""

    def __str__(self) -> str:
        return f"{self.message} ({self.place})" if self.place else self.message


def divergence_of(failure: Exception) -> Divergence:
    """The divergence in a replay's failure; where its text is of no known form, all of it."""
    text = str(failure)
    found = _MESSAGE.search(text)
    if not found:
        return Divergence(text)
    message = _NONDETERMINISM.sub("", _unescaped(found[1]))
    frames = _FRAME.findall(text)
    kind = _TYPE.search(text)
    event = _EVENT.search(message)
    return Divergence(
        message=f"{kind[1]}: {message}" if kind else message,
        event_id=int(event[1]) if event else None,
        event_type=event[2] if event else None,
        place=":".join(frames[-1]) if frames else None,
    )


def _unescaped(text: str) -> str:
    """Rust's debug form of a string, undone as far as messages need it."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text)
