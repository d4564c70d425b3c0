"""Blob stores and external storage by their address, as a setting has it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from temporalio.converter import ExternalStorage

from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.adapters.directory_storage import DirectoryStorageDriver
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.errors import ConfigurationError
from agentflow.ports.blobs import BlobStore

if TYPE_CHECKING:
    from agentflow.adapters.s3_vault import LockMode, S3Vault

EXTERNAL_THRESHOLD_BYTES = 64 * 1024
"""Single values from this size on leave history. What a model is told whole (``ToolOptions.max_told_bytes``)
stays there; each value that leaves costs a request when it is written, and one whenever it is read."""
MAX_EXTERNAL_BYTES = 32 * 1024 * 1024
"""Longest single value with external storage: it is in a worker's memory several times over."""

S3_FORM = "s3://BUCKET/PREFIX?region=REGION&endpoint=URL&kms_key=KEY"
FORMS = f"the path of a directory, file:///absolute/path, or {S3_FORM}"
"""What blob stores and external storage take."""

# One letter is a drive of Windows.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)


def open_blobs(url: str) -> BlobStore:
    """The blob store at an address. Nothing is opened or connected yet.

    Args:
        url: ``memory:``, the path of a directory, ``file:///absolute/path``, or
            ``s3://BUCKET/PREFIX?region=REGION&endpoint=URL&kms_key=KEY``, of which only the bucket is needed.

    Raises:
        ConfigurationError: it is none of these.
    """
    match _parsed(url, "a blob store", f"memory:, {FORMS}", memory=True):
        case None:
            return MemoryBlobStore()
        case Path() as path:
            return DirectoryBlobStore(path)
        case _S3Address() as place:
            from agentflow.adapters.s3_blobs import S3BlobStore
            from agentflow.adapters.s3_client import S3Bucket

            return S3BlobStore(S3Bucket(place.bucket, **place.options), place.prefix)


def open_external_storage(url: str, *, threshold: int = EXTERNAL_THRESHOLD_BYTES) -> ExternalStorage:
    """External storage at an address, for ``AgentflowPlugin`` and for clients that read results.

    Unlike the blob store it must not be lost: histories refer to it.

    Args:
        url: The path of a directory that all workers and clients share, ``file:///absolute/path``, or
            ``s3://BUCKET/PREFIX?region=REGION&endpoint=URL&kms_key=KEY``.
        threshold: Values from this many bytes on leave history.

    Raises:
        ConfigurationError: it is none of these.
    """
    match _parsed(url, "external storage", FORMS, memory=False):
        case _S3Address() as place:
            from agentflow.adapters.s3_storage import s3_storage_driver

            driver: Any = s3_storage_driver(place.bucket, place.prefix, **place.options)
        case Path() as path:
            driver = DirectoryStorageDriver(path)
        case None:
            raise _unknown("memory:", "external storage", FORMS)
    return ExternalStorage(drivers=[driver], payload_size_threshold=threshold)


def open_vault(url: str, mode: "LockMode" = "COMPLIANCE") -> "S3Vault":
    """A place for audit bundles, in a bucket with Object Lock.

    Args:
        url: ``s3://BUCKET/PREFIX?region=REGION&endpoint=URL&kms_key=KEY``.
        mode: How objects are locked.

    Raises:
        ConfigurationError: it is none of these.
    """
    match _parsed(url, "a vault", S3_FORM, memory=False):
        case _S3Address() as place:
            from agentflow.adapters.s3_client import S3Bucket
            from agentflow.adapters.s3_vault import S3Vault

            return S3Vault(S3Bucket(place.bucket, **place.options), place.prefix, mode)
        case _:
            raise _unknown("this", "a vault", S3_FORM)


@dataclass(frozen=True)
class _S3Address:
    bucket: str
    prefix: str
    options: dict[str, Any]


def _parsed(url: str, what: str, forms: str, *, memory: bool) -> Path | _S3Address | None:
    scheme = found[1].lower() if (found := _SCHEME.match(url)) else ""
    parts = urlsplit(url)
    match scheme:
        case "" if url.strip():
            return Path(url)
        case "file" if parts.path.strip("/") and not (parts.netloc or parts.query or parts.fragment):
            return Path(_local(unquote(parts.path)))
        case "memory" if memory and url == "memory:":
            return None
        case "s3":
            return _s3(url, what, forms)
        case _:
            raise _unknown(f"{scheme[:40]}:" if scheme else "this", what, forms)


def _s3(url: str, what: str, forms: str) -> _S3Address:
    parts = urlsplit(url)
    given: dict[str, Any] = parse_qs(parts.query, keep_blank_values=True, max_num_fields=20)
    if (
        not parts.netloc
        or "@" in parts.netloc
        or parts.fragment
        or not given.keys() <= {"region", "endpoint", "kms_key"}
        or not all(len(values) == 1 and values[0] for values in given.values())
    ):
        raise _unknown("an s3: address without a bucket, with a user or with such options", what, forms)
    return _S3Address(parts.netloc, unquote(parts.path), {name: values[0] for name, values in given.items()})


def _local(path: str) -> str:
    # file:///C:/path is a path of Windows.
    return path[1:] if re.match(r"/[A-Za-z]:/", path) else path


def _unknown(given: str, what: str, forms: str) -> ConfigurationError:
    # Not the address itself: there may be a password in it.
    return ConfigurationError(f"{given} is no address of {what}: give {forms}")
