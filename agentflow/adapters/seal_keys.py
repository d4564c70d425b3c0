"""The fleet's keys for seals, in a file that only workers can read.

    {"current": "k1", "keys": {"k1": "<32 random bytes in base64>"}}

Every worker that serves runs or tools of a namespace needs the same file. A key is replaced in three steps,
with a restart of all workers after each: ``add`` it, make it the ``current`` one, ``remove`` the old one once
no run that it sealed for is open any more, and the ledger has forgotten the records that it sealed.
"""

import base64
import json
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from agentflow.adapters.whole_file import write_whole
from agentflow.core.seal import MIN_KEY_BYTES, SealKeys
from agentflow.errors import ConfigurationError
from agentflow.private_files import make_folder

DEVELOPMENT_VARIABLE = "AGENTFLOW_DEV_SEAL_KEYS"
"""Where the file for development is, if not in the user's own directory for state."""


@dataclass(frozen=True)
class _File:
    """The keys as they are kept."""

    current: str
    keys: dict[str, str]
    """In base64."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


_FILE: TypeAdapter[_File] = TypeAdapter(_File)


def load_seal_keys(path: Path | str) -> SealKeys:
    """The keys in a file.

    Raises:
        ConfigurationError: it can't be read, or holds something else.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the keys for seals can't be read: {error}; `agentflow seal-keys init {path}` makes some"
        ) from None
    try:
        json.loads(raw, object_pairs_hook=_no_name_twice)
        file = _FILE.validate_json(raw)
        keys = {kid: base64.b64decode(key, validate=True) for kid, key in file.keys.items()}
        return SealKeys(file.current, keys)
    except ValidationError as error:
        # Without the values: one of them is a key.
        where = ", ".join(".".join(map(str, fault["loc"])) or "the whole" for fault in error.errors())
        raise ConfigurationError(f"{path} holds no keys for seals: {where} is not as it should be") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} holds no keys for seals: {error}") from None


def new_seal_keys() -> SealKeys:
    """One new key, in memory only: for workers of one process."""
    kid = f"k{secrets.token_hex(4)}"
    return SealKeys(kid, {kid: secrets.token_bytes(MIN_KEY_BYTES)})


def save_new_seal_keys(path: Path | str) -> SealKeys:
    """Make a file with one key; of several that make it at once, one does.

    Raises:
        ConfigurationError: there is such a file, or it can't be written.
    """
    keys = new_seal_keys()
    path, aside = Path(path), Path(f"{path}.{secrets.token_hex(8)}")
    try:
        make_folder(path.parent)
        _write(aside, keys)
        try:
            os.link(aside, path)
        finally:
            aside.unlink()
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already; no key is overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"the keys for seals can't be kept in {path}: {error}") from None
    return keys


def development_seal_keys() -> SealKeys:
    """The keys of this machine's development workers, made at their first use.

    Raises:
        ConfigurationError: they can't be read or kept.
    """
    path = Path(os.environ.get(DEVELOPMENT_VARIABLE) or _state_directory() / "seal-keys.json")
    if not path.exists():
        try:
            return save_new_seal_keys(path)
        except ConfigurationError:
            # Another worker may have been faster.
            if not path.exists():
                raise
    return load_seal_keys(path)


def add_seal_key(path: Path | str) -> str:
    """Add a new key, which is believed and doesn't seal yet; answer its id.

    Raises:
        ConfigurationError: the file can't be read or written.
    """
    keys, kid = load_seal_keys(path), f"k{secrets.token_hex(4)}"
    _replace(Path(path), replace(keys, keys={**keys.keys, kid: secrets.token_bytes(MIN_KEY_BYTES)}))
    return kid


def use_seal_key(path: Path | str, kid: str) -> None:
    """Let another of the keys seal.

    Raises:
        ConfigurationError: there is no such key, or the file can't be read or written.
    """
    keys = load_seal_keys(path)
    _check_known(path, keys, kid)
    _replace(Path(path), SealKeys(kid, keys.keys))


def remove_seal_key(path: Path | str, kid: str) -> None:
    """Believe a key no more.

    Raises:
        ConfigurationError: there is no such key, it is the current one, or the file can't be read or written.
    """
    keys = load_seal_keys(path)
    _check_known(path, keys, kid)
    if kid == keys.current:
        raise ConfigurationError(f"the key {kid} seals: first let another one of {path} do so")
    _replace(
        Path(path), SealKeys(keys.current, {name: key for name, key in keys.keys.items() if name != kid})
    )


def _check_known(path: Path | str, keys: SealKeys, kid: str) -> None:
    if kid not in keys.keys:
        raise ConfigurationError(f"{path} has no key {kid!r}; it has {', '.join(keys.keys)}")


def _replace(path: Path, keys: SealKeys) -> None:
    try:
        _write(path, keys)
    except OSError as error:
        raise ConfigurationError(f"the keys for seals can't be kept in {path}: {error}") from None


def _write(path: Path, keys: SealKeys) -> None:
    document = {
        "current": keys.current,
        "keys": {kid: base64.b64encode(key).decode() for kid, key in keys.keys.items()},
    }
    write_whole(path, json.dumps(document, indent=2).encode() + b"\n")


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice")
    return members


def _state_directory() -> Path:
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "agentflow"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "agentflow"
