"""The door to the keys that runs' contents are encrypted with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class RunKey:
    """One run's key: whoever deletes it has erased what was said in the run, in every bundle."""

    key_id: str
    key: bytes
    """32 bytes."""
    expires: datetime
    """When it is to be deleted."""

    def __repr__(self) -> str:
        return f"RunKey({self.key_id!r}, expires={self.expires.isoformat()})"


class KeyProvider(Protocol):
    """Keys by id. One id has one key ever: a deleted one is not made again."""

    async def obtain(self, key_id: str, expires: datetime) -> RunKey | None:
        """The key, made now if there never was one; ``None`` if it was deleted.

        Args:
            key_id: Names the run; safe as a file's name.
            expires: When a new key is to be deleted. One that is there already keeps its own time.

        Raises:
            AuditError: the key can't be read or kept.
        """
        ...

    async def find(self, key_id: str) -> RunKey | None:
        """The key; ``None`` if it was deleted or never was.

        Raises:
            AuditError: it can't be read.
        """
        ...

    async def delete(self, key_id: str) -> bool:
        """Delete the key for good. Whether there was one.

        Raises:
            AuditError: it can't be deleted.
        """
        ...

    async def overdue(self, now: datetime) -> Sequence[str]:
        """The ids of keys whose time is over.

        Raises:
            AuditError: they can't be listed.
        """
        ...
