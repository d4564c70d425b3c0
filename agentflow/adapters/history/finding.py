"""What is found in a history, event by event."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp

from agentflow.contracts.audit import GapKind, RecordKind, Source
from agentflow.contracts.wire import Json


@dataclass
class Finding:
    """One thing that happened. What it came to may be found later, and is put in then."""

    kind: RecordKind
    at: datetime
    execution: str
    """Run id."""
    event: int | None = None
    source: Source = "history"
    facts: dict[str, Json] = field(default_factory=dict[str, Json])
    """Names, numbers and states: nothing that anybody said."""
    contents: dict[str, Json] = field(default_factory=dict[str, Json])
    """What was said."""

    @staticmethod
    def gap(
        what: GapKind, at: datetime, execution: str, event: int | None = None, **facts: Json
    ) -> "Finding":
        """Something that should be here and isn't."""
        return Finding("gap", at, execution, event, facts={"gap": what, **facts})


def first_of(findings: Iterable[Finding], kind: RecordKind) -> Finding | None:
    """The first finding of a kind."""
    return next((each for each in findings if each.kind == kind), None)


def end_of(findings: Sequence[Finding]) -> Finding | None:
    """How a run ended; ``None`` if it hadn't."""
    return next((each for each in reversed(findings) if each.kind in ("outcome", "ended")), None)


def time_of(stamp: Timestamp) -> datetime:
    """An event's time."""
    return stamp.ToDatetime(tzinfo=UTC)


def document(value: Json) -> dict[str, Any]:
    """An object; of anything else, an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def told(**values: Json) -> dict[str, Json]:
    """Those that say something."""
    return {name: value for name, value in values.items() if value not in (None, "", (), [], {})}
