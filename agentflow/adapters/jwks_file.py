"""Approvers' public keys in a file: a JWK Set (``core/jwks.py``) that workers read and people edit."""

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from agentflow.adapters.whole_file import write_whole
from agentflow.contracts.identity import ApproverKey
from agentflow.core.jwks import entry_of, keys_of_set
from agentflow.errors import ConfigurationError


class JwksFile:
    """Give it to ``AgentflowPlugin(approvers=)``. Read anew for each run: a changed file needs no restart."""

    def __init__(self, path: str | Path) -> None:
        self.path: Path = Path(path)

    async def keys(self) -> tuple[ApproverKey, ...]:
        """The keys in the file.

        Raises:
            ConfigurationError: it can't be read, has no key, or has one that can't be used.
        """
        keys = await asyncio.to_thread(read_keys, self.path)
        if not keys:
            raise ConfigurationError(f"{self.path} has no key: nobody could decide anything")
        return keys


def read_keys(path: Path) -> tuple[ApproverKey, ...]:
    """The keys in a file.

    Raises:
        ConfigurationError: it can't be read, or has a key that can't be used.
    """
    try:
        return keys_of_set(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"the approvers' keys can't be read: {error}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def add_key(path: Path, key: ApproverKey) -> None:
    """Add a key to a file, which is made if there is none.

    Raises:
        ConfigurationError: the file is no JWK Set, or has a key of that ``kid``.
    """
    document: dict[str, Any] = _document(path) if path.exists() else {"keys": []}
    document["keys"].append(entry_of(key))
    _write(path, document)


def revoke_key(path: Path, kid: str, at: datetime) -> None:
    """Mark a key in a file as revoked.

    Raises:
        ConfigurationError: the file is no JWK Set, or has no such key.
    """
    document = _document(path)
    entry = next((entry for entry in document["keys"] if entry.get("kid") == kid), None)
    if entry is None:
        raise ConfigurationError(f"{path} has no key {kid}")
    entry["agentflow"].setdefault("revoked_at", at.isoformat(timespec="seconds"))
    _write(path, document)


def _document(path: Path) -> dict[str, Any]:
    """A set as it stands in its file, with what other programs keep in it."""
    read_keys(path)
    return cast(dict[str, Any], json.loads(path.read_bytes()))


def _write(path: Path, document: dict[str, Any]) -> None:
    """Replace a file as a whole, once what it will say has been checked."""
    text = json.dumps(document, indent=2).encode() + b"\n"
    try:
        keys_of_set(text)
        write_whole(path, text, mode=path.stat().st_mode if path.exists() else 0o644)
    except OSError as error:
        raise ConfigurationError(f"the approvers' keys can't be written: {error}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
