"""Keys of runs in a directory: one file for each, readable by its owner alone.

What is in a file is the key itself, or the key as a key management service wrapped it. A deleted key leaves a
file that says so, since a run that is exported again must not get another one.
"""

import asyncio
import base64
import json
import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from agentflow.adapters.whole_file import write_whole
from agentflow.errors import AuditError
from agentflow.ports.keys import RunKey
from agentflow.private_files import make_folder

_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
_KEY, _DELETED = ".key", ".deleted"
KEY_BYTES = 32


class Wrapper(Protocol):
    """Keeps keys from whoever only has the files."""

    name: str
    """Of how it wraps; it is in the file."""

    def wrap(self, key_id: str, key: bytes) -> bytes:
        """The key as it is kept.

        Raises:
            AuditError: it can't be wrapped.
        """
        ...

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """The key.

        Raises:
            AuditError: it can't be unwrapped.
        """
        ...


class _Plain:
    """Whoever has the file has the key."""

    name = "plain"

    def wrap(self, key_id: str, key: bytes) -> bytes:
        return key

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        return wrapped


class KeyDirectory:
    """A ``KeyProvider`` of files."""

    def __init__(self, directory: Path, wrapper: Wrapper | None = None) -> None:
        """Describe it.

        Args:
            directory: Made when the first key is. Keep it off the backups that keep everything: a deleted key
                that a backup has is not deleted.
            wrapper: By default keys are as they are.
        """
        self._directory = directory
        self._wrapper = wrapper or _Plain()

    async def obtain(self, key_id: str, expires: datetime) -> RunKey | None:
        """The key, made now if there never was one; ``None`` if it was deleted."""
        return await asyncio.to_thread(self._obtain, key_id, expires)

    async def find(self, key_id: str) -> RunKey | None:
        """The key; ``None`` if it was deleted or never was."""
        return await asyncio.to_thread(self._find, key_id)

    async def delete(self, key_id: str) -> bool:
        """Delete the key for good. Whether there was one."""
        return await asyncio.to_thread(self._delete, key_id)

    async def overdue(self, now: datetime) -> Sequence[str]:
        """The ids of keys whose time is over."""
        return await asyncio.to_thread(self._overdue, now)

    def _obtain(self, key_id: str, expires: datetime) -> RunKey | None:
        if self._path(key_id, _DELETED).exists():
            return None
        if found := self._find(key_id):
            return found
        made = RunKey(key_id, os.urandom(KEY_BYTES), expires)
        file = {
            "expires": expires.isoformat(),
            "key": base64.b64encode(self._wrapper.wrap(key_id, made.key)).decode(),
            "wrapped_by": self._wrapper.name,
        }
        try:
            make_folder(self._directory)
            path = self._path(key_id, _KEY)
            aside = self._directory / f".{uuid4().hex}"
            write_whole(aside, json.dumps(file).encode())
            try:
                # Of two exports at once, one makes the key and both use it.
                os.link(aside, path)
            except FileExistsError:
                return self._find(key_id)
            finally:
                aside.unlink()
            if self._path(key_id, _DELETED).exists():
                # Somebody deleted it just now.
                path.unlink(missing_ok=True)
                return None
        except OSError as error:
            raise AuditError(f"the key {key_id} can't be kept in {self._directory}: {error}") from None
        return made

    def _find(self, key_id: str) -> RunKey | None:
        path = self._path(key_id, _KEY)
        if self._path(key_id, _DELETED).exists():
            # Who deleted it may have died before the file was gone.
            return None
        try:
            file = json.loads(path.read_bytes())
            expires = datetime.fromisoformat(file["expires"])
            how, wrapped = str(file["wrapped_by"]), base64.b64decode(file["key"], validate=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AuditError(f"the key {path} can't be read: {type(error).__name__}: {error}") from None
        if how != self._wrapper.name:
            raise AuditError(f"the key {path} is wrapped by {how}, and this is {self._wrapper.name}")
        key = self._wrapper.unwrap(key_id, wrapped)
        if len(key) != KEY_BYTES:
            raise AuditError(f"the key {path} has {len(key)} bytes, not {KEY_BYTES}")
        return RunKey(key_id, key, expires)

    def _delete(self, key_id: str) -> bool:
        path = self._path(key_id, _KEY)
        try:
            # First that it is gone: if this dies in between, nobody finds the key or makes it again, and the
            # next try, or the next look for keys that are overdue, removes what is left.
            write_whole(self._path(key_id, _DELETED), b"{}")
            if not path.exists():
                return False
            size = path.stat().st_size
            with path.open("r+b") as file:
                # What a file system keeps of a removed file should not be the key.
                file.write(b"\0" * size)
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        except OSError as error:
            raise AuditError(f"the key {path} can't be deleted: {error}") from None
        return True

    def _overdue(self, now: datetime) -> list[str]:
        try:
            paths = sorted(self._directory.glob(f"*{_KEY}"))
        except OSError as error:
            raise AuditError(f"the keys in {self._directory} can't be listed: {error}") from None
        # One that was deleted, and whose file is still there, is to be deleted for good.
        return [
            path.stem for path in paths if self._path(path.stem, _DELETED).exists() or _expires(path) <= now
        ]

    def _path(self, key_id: str, suffix: str) -> Path:
        if not _ID.fullmatch(key_id) or key_id.startswith("."):
            raise AuditError(f"{key_id!r} is no key's id")
        return self._directory / f"{key_id}{suffix}"


def _expires(path: Path) -> datetime:
    try:
        file: dict[str, Any] = json.loads(path.read_bytes())
        return datetime.fromisoformat(file["expires"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuditError(f"the key {path} can't be read: {type(error).__name__}: {error}") from None
