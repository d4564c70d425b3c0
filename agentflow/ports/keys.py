"""The door to the keys that runs' contents are encrypted with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agentflow.errors import AuditError

KEY_BYTES = 32


@dataclass(frozen=True)
class RunKey:
    """One run's key: whoever deletes it has erased what was said in the run, in every bundle."""

    key_id: str
    key: bytes
    """32 bytes."""
    expires: datetime
    """When it is to be deleted."""

    def __post_init__(self) -> None:
        """Refuse what is no key.

        Raises:
            ValueError: something in it is of another type or length.
        """
        is_key = type(self.key) is bytes and len(self.key) == KEY_BYTES
        if not is_key or type(self.key_id) is not str or self.expires.tzinfo is None:
            raise ValueError("a run's key has an id, 32 bytes and a time with its zone")

    def __repr__(self) -> str:
        return f"RunKey({self.key_id!r}, expires={self.expires.isoformat()})"


def checked_key(found: object, key_id: str) -> RunKey | None:
    """What a provider answers, if it is the key of that id. ``None`` counts as deleted.

    Raises:
        AuditError: it is something else: sealed with it, what was said could be lost, or anybody's to read.
    """
    if found is None or (type(found) is RunKey and found.key_id == key_id):
        return found
    raise AuditError(f"the keys answered {type(found).__name__} in the place of the key {key_id}")


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
