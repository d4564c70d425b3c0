"""A bundle's files: what they are called, and how they are written and read.

manifest.json     what is in the bundle, run by run
decisions.jsonl   the decision log: one record a line, each with the hash of the one before
leaves.bin        the records' hashes, 32 bytes each: the leaves of the tree that is signed
contents/N.bin    what was said in the Nth run, encrypted under the run's key
digest.json       the hashes of all these files and the tree's root, signed

The form that may be given away has no contents, and texts.jsonl in their place, under a signature of its own
(``agentflow.audit.cover``).
"""

import os
import stat
from errno import EINVAL
from hashlib import file_digest, sha256
from io import BufferedReader
from pathlib import Path

from pydantic import ValidationError

from agentflow.adapters.whole_file import write_whole
from agentflow.audit.signing import ExportSigner, ExportVerifier
from agentflow.contracts.bundle import BundleManifest, Digest, FileEntry
from agentflow.contracts.wire import Sha256, canonical_json
from agentflow.core.answer import describe_errors
from agentflow.errors import AuditError
from agentflow.private_files import write_file

MANIFEST = "manifest.json"
DECISIONS = "decisions.jsonl"
LEAVES = "leaves.bin"
DIGEST = "digest.json"
CONTENTS = "contents"
TEXTS = "texts.jsonl"
LEAF_BYTES = 32
_WITHOUT_WAITING: int = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def contents_file(number: int) -> str:
    """Of the run with that number, from 1."""
    return f"{CONTENTS}/{number:06}.bin"


def write_manifest(directory: Path, manifest: BundleManifest) -> None:
    """Write what is in the bundle."""
    write_file(directory / MANIFEST, canonical_json(manifest.model_dump(mode="json")) + b"\n")


def read_manifest(directory: Path) -> BundleManifest:
    """What is in the bundle.

    Raises:
        AuditError: it isn't there, isn't one, or is of a version that isn't known here.
    """
    try:
        return BundleManifest.model_validate_json(read_file(directory / MANIFEST))
    except ValidationError as error:
        raise AuditError(f"{directory / MANIFEST} is no manifest: {describe_errors(error)}") from None


def sign(directory: Path, digest: Digest, signer: ExportSigner) -> Digest:
    """Write the digest, with its signature.

    Raises:
        AuditError: it can't be written.
    """
    signed = digest.model_copy(update={"signature": signer.signature(_signed_bytes(digest))})
    try:
        write_whole(directory / DIGEST, canonical_json(signed.model_dump(mode="json")) + b"\n")
    except OSError as error:
        raise AuditError(f"{directory / DIGEST} can't be written: {error}") from None
    return signed


def read_digest(directory: Path) -> Digest:
    """The digest, whoever signed it.

    Raises:
        AuditError: it isn't there, isn't one, or isn't written as it was signed.
    """
    return parsed_digest(read_file(directory / DIGEST), directory / DIGEST)


def parsed_digest(data: bytes, where: Path | str) -> Digest:
    """The digest with those bytes, whoever signed it.

    Raises:
        AuditError: they are none, or not written as they were signed.
    """
    try:
        digest = Digest.model_validate_json(data)
    except ValidationError as error:
        raise AuditError(f"{where} is no digest: {describe_errors(error)}") from None
    if canonical_json(digest.model_dump(mode="json")) + b"\n" != data:
        raise AuditError(f"{where} isn't written as it was signed")
    return digest


def is_signed_by(digest: Digest, verifier: ExportVerifier) -> bool:
    """Whether the key signed it."""
    return verifier.verifies(digest.signature, _signed_bytes(digest))


def digest_hash(directory: Path) -> Sha256:
    """Names the export in the one after it."""
    return Sha256(sha256(read_file(directory / DIGEST)).hexdigest())


def opened(path: Path) -> BufferedReader:
    """A file of a bundle, to be read.

    Raises:
        OSError: it can't be read, or is no file: a pipe that lies in its place would let nobody go on.
    """
    descriptor = os.open(path, os.O_RDONLY | _WITHOUT_WAITING)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(EINVAL, "it is no file", str(path))
    return open(descriptor, "rb")


def file_entry(path: Path) -> FileEntry:
    """A file's hash and length.

    Raises:
        OSError: it can't be read.
    """
    with opened(path) as file:
        return FileEntry(sha256=Sha256(file_digest(file, "sha256").hexdigest()), bytes=file.tell())


def _signed_bytes(digest: Digest) -> bytes:
    return canonical_json(digest.model_dump(mode="json", exclude={"signature"}))


def read_file(path: Path) -> bytes:
    """A file of a bundle.

    Raises:
        AuditError: it can't be read.
    """
    try:
        with opened(path) as file:
            return file.read()
    except OSError as error:
        raise AuditError(f"{path} can't be read: {error.strerror}") from None
