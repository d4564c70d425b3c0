"""What a running tool may know and do beyond its arguments."""

from collections.abc import Callable
from dataclasses import dataclass, field

from agentflow.contracts.wire import Sha256, ToolCallId


def _no_heartbeat(*details: object) -> None:
    """Outside an activity there is nobody to tell."""


@dataclass(frozen=True)
class ToolContext:
    """Given to a tool that has a parameter of this type; the model never sees that parameter."""

    call_id: ToolCallId
    idempotency_key: Sha256
    """The same for every attempt of one call, and for no other call. Hand it to the outside system."""
    attempt: int = 1
    """1 for the first try, more for Temporal's retries."""
    workflow_id: str = ""
    heartbeat: Callable[..., None] = field(default=_no_heartbeat)
    """Tells Temporal that the tool is alive, and learns of a cancelled run: long tools call it often.

    When the run was cancelled, the tool's next ``await`` raises ``asyncio.CancelledError``.
    """
    fencing_token: int = 0
    """Grows with each attempt at this write; 0 for a read. For an outside system that can refuse who comes
    late: keep the token with what is written, and write only where the kept one is smaller::

        UPDATE shipments SET address = %(address)s, token = %(token)s WHERE id = %(id)s AND token < %(token)s

    It compares attempts at one write (``idempotency_key``) only.
    """
