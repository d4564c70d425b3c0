"""What a log line may say: names, numbers, ids. All else is text, and texts may hold anything."""

from collections.abc import Mapping
from traceback import extract_tb
from types import TracebackType
from typing import Any

from opentelemetry import trace
from temporalio import activity, workflow

from agentflow.core.visible import visible_line

ALLOWED = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "logger",
        "withheld",
        "workflow_id",
        "run_id",
        "trace_id",
        "span_id",
        "activity",
        "attempt",
        "agent",
        "release",
        "tier",
        "turn",
        "executions",
        "outcome",
        "cost_usd",
        "subject",
        "accepted",
        "tool",
        "rule",
        "approval_id",
        "model",
        "tool_calls",
        "error_type",
        "error_kind",
        "where",
        "key",
        "state",
        "status",
        "missing",
        "damaged",
        "dropped",
        "records",
        "older_than",
        "spans",
        "ledger_retention",
        "namespace_retention",
    }
)
"""Fields that are logged as they are: what they hold is a name, a number or an id by our own making."""

MAX_FIELD = 500
"""Characters of one field. A line of a hundred fields of this length is still one that logs take."""
MAX_FRAMES = 8


def bounded(value: object) -> object:
    """A field's value in one line and not too long; numbers and truth values as they are."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    cut = text if len(text) <= MAX_FIELD else f"{text[:MAX_FIELD]}… {len(text) - MAX_FIELD} more"
    # A terminal obeys what it is sent, and a line break makes a second line that nobody wrote.
    return visible_line(cut)


def ids() -> dict[str, object]:
    """Which run, and which step of which trace, speaks here."""
    found: dict[str, object] = {}
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        found |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    if activity.in_activity():
        info = activity.info()
        found |= {"workflow_id": info.workflow_id, "run_id": info.workflow_run_id}
        found |= {"activity": info.activity_type, "attempt": info.attempt}
    elif workflow.in_workflow():
        run = workflow.info()
        found |= {"workflow_id": run.workflow_id, "run_id": run.run_id}
    return found


def of_error(error: BaseException) -> dict[str, object]:
    """An error without its text: what it is, and where it was raised."""
    kind = getattr(error, "type", None) or type(error).__name__
    return {"error_type": str(kind), "where": _where(error.__traceback__)}


def texts_in(fields: Mapping[str, Any]) -> list[str]:
    """The fields that are texts."""
    return [name for name, value in fields.items() if name not in ALLOWED and value is not None]


def _where(traceback: TracebackType | None) -> str | None:
    frames = extract_tb(traceback)[-MAX_FRAMES:] if traceback else []
    places = (f"{frame.filename.replace(chr(92), '/').rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames)
    return " > ".join(places) or None
