"""Big single values in a directory that workers and clients share."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverActivityInfo,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)

from agentflow.adapters.whole_file import write_whole
from agentflow.errors import StoredValueError


class DirectoryStorageDriver(StorageDriver):
    """One file a value: ``<directory>/<namespace>/<workflow>/<sha256>``.

    The directory is part of history: what is lost there is lost for the runs that refer to it, and they can't
    be replayed. So a file is on the disk, whole, before Temporal hears of it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def path(self) -> Path:
        """The directory."""
        return self._directory

    def name(self) -> str:
        """The driver's name in references."""
        return "agentflow.directory"

    def type(self) -> str:
        """The driver's kind."""
        return "agentflow.directory"

    async def store(
        self, context: StorageDriverStoreContext, payloads: Sequence[Payload]
    ) -> list[StorageDriverClaim]:
        """Write the values.

        Raises:
            OSError: the directory can't be written.
        """
        folder = _folder(context.target)
        return [await asyncio.to_thread(self._write, folder, payload) for payload in payloads]

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """Read the values.

        Raises:
            StoredValueError: one is missing or damaged; the text names the file.
        """
        return [await asyncio.to_thread(self._read, claim) for claim in claims]

    def _write(self, folder: str, payload: Payload) -> StorageDriverClaim:
        data = payload.SerializeToString()
        digest = hashlib.sha256(data).hexdigest()
        place = self._directory / folder
        write_whole(place / digest, data)
        return StorageDriverClaim({"place": f"{folder}/{digest}", "sha256": digest})

    def _read(self, claim: StorageDriverClaim) -> Payload:
        path = self._directory.joinpath(*_parts(claim.claim_data.get("place", "")))
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoredValueError(
                f"a value of this run is not in the external storage: {path}: {error}. Is this the directory "
                "that the run's workers write to?"
            ) from error
        if hashlib.sha256(data).hexdigest() != claim.claim_data.get("sha256"):
            raise StoredValueError(f"{path} is not what its hash says: restore it from a backup")
        return Payload.FromString(data)


def _folder(target: StorageDriverWorkflowInfo | StorageDriverActivityInfo | None) -> str:
    """The namespace and the workflow, as names that any file system takes."""
    if target is None:
        return "unknown"
    return f"{_safe(target.namespace)}/{_safe(target.id or 'unknown')}"


def _safe(name: str) -> str:
    # What is cut off, or differs in case only, is told apart by the hash.
    readable = quote(name, safe="").replace("~", "_")[:60].rstrip(". ")
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _parts(place: str) -> list[str]:
    parts = place.split("/")
    if not all(parts) or any(part in (".", "..") or "\\" in part or ":" in part for part in parts):
        # A reference comes out of history; it may not lead out of the directory.
        raise StoredValueError(f"a reference to an externally stored value is malformed: {place[:200]!r}")
    return parts
