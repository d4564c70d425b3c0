"""What people said, on record: what counted and what did not, each with its reason."""

from collections.abc import Callable

from temporalio import workflow

from agentflow.contracts.approval import Approver
from agentflow.contracts.rules import DecisionRecord, Subject

Record = Callable[[DecisionRecord], None]


class PeopleLog:
    """Adds to a run's decision log."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def note(
        self, subject: Subject, accepted: bool, detail: str, *, tool: str | None = None, by: str | None = None
    ) -> None:
        """Add a line."""
        self._record(
            DecisionRecord(
                subject=subject,
                accepted=accepted,
                detail=detail[:2_000],
                at=workflow.now().isoformat(),
                tool=tool,
                by=by,
            )
        )


def how_known(approver: Approver) -> str:
    """How it is known who somebody is."""
    keys = f", key {' and '.join(approver.kids)}" if approver.kids else ""
    used = f", delegation {approver.delegation.id}" if approver.delegation else ""
    return f"{approver.method} identity{keys}{used}"
