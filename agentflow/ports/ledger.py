"""The door to the record of side effects."""

from dataclasses import dataclass
from typing import Literal, Protocol

from agentflow.contracts.wire import Sha256


@dataclass(frozen=True)
class LedgerEntry:
    """What the ledger knows of one call."""

    state: Literal["new", "intended", "done", "failed"]
    """``new``: this attempt is the first. ``intended``: an earlier attempt began and never ended.
    ``done`` and ``failed``: it ended, and ``result`` says how."""
    result: bytes | None = None
    """The recorded ``ToolResult`` as JSON, for ``done`` and ``failed``."""


class EffectLedger(Protocol):
    """Remembers each write, so that it happens once whatever dies.

    All methods raise ``LedgerError`` when the ledger can't be reached, and then no write runs.
    """

    async def begin(self, key: Sha256, tool: str, arguments_hash: Sha256) -> LedgerEntry:
        """Record the intent, atomically; answer what was there before.

        Raises:
            EffectConflictError: the key is taken by a call with other arguments.
        """
        ...

    async def finish(self, key: Sha256, state: Literal["done", "failed"], result: bytes) -> None:
        """Record how the call ended."""
        ...

    async def withdraw(self, key: Sha256) -> None:
        """Forget an intent whose tool certainly did nothing, so that a later attempt starts anew."""
        ...
