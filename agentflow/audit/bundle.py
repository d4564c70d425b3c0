"""A bundle's files: what they are called, and how they are written and read.

manifest.json     what is in the bundle, run by run
decisions.jsonl   the decision log: one record a line, each with the hash of the one before
leaves.bin        the records' hashes, 32 bytes each: the leaves of the tree that is signed
contents/N.bin    what was said in the Nth run, encrypted under the run's key
digest.json       the hashes of all these files and the tree's root, signed
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path

from pydantic import ValidationError

from agentflow.adapters.whole_file import write_whole
from agentflow.audit.signing import ExportSigner, ExportVerifier
from agentflow.contracts.bundle import BundleManifest, Digest, FileEntry, PreviousExport
from agentflow.contracts.wire import Sha256, canonical_json
from agentflow.core.answer import describe_errors
from agentflow.errors import AuditError
from agentflow.private_files import make_folder, write_file

MANIFEST = "manifest.json"
DECISIONS = "decisions.jsonl"
LEAVES = "leaves.bin"
DIGEST = "digest.json"
CONTENTS = "contents"
LEAF_BYTES = 32


def contents_file(number: int) -> str:
    """Of the run with that number, from 1."""
    return f"{CONTENTS}/{number:06}.bin"


@contextmanager
def new_directory(place: Path) -> Generator[Path]:
    """A directory to fill. It is at its place once it is whole, and nowhere if that fails.

    Raises:
        AuditError: the place exists, or can't be written to.
    """
    if place.exists():
        raise AuditError(f"{place} exists; nothing is written over: give another place")
    try:
        make_folder(place.parent)
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    except OSError as error:
        raise AuditError(f"{place} can't be written: {error}") from None
    try:
        yield aside
        os.rename(aside, place)
    except OSError as error:
        raise AuditError(f"{place} can't be written: {error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_manifest(directory: Path, manifest: BundleManifest) -> None:
    """Write what is in the bundle."""
    write_file(directory / MANIFEST, canonical_json(manifest.model_dump(mode="json")) + b"\n")


def read_manifest(directory: Path) -> BundleManifest:
    """What is in the bundle.

    Raises:
        AuditError: it isn't there, isn't one, or is of a version that isn't known here.
    """
    try:
        return BundleManifest.model_validate_json(_read(directory, MANIFEST))
    except ValidationError as error:
        raise AuditError(f"{directory / MANIFEST} is no manifest: {describe_errors(error)}") from None


def sign(directory: Path, digest: Digest, signer: ExportSigner) -> Digest:
    """Write the digest, with its signature."""
    signed = digest.model_copy(update={"signature": signer.signature(_signed_bytes(digest))})
    write_file(directory / DIGEST, canonical_json(signed.model_dump(mode="json")) + b"\n")
    return signed


def read_digest(directory: Path) -> Digest:
    """The digest, whoever signed it.

    Raises:
        AuditError: it isn't there, isn't one, or isn't written as it was signed.
    """
    data = _read(directory, DIGEST)
    try:
        digest = Digest.model_validate_json(data)
    except ValidationError as error:
        raise AuditError(f"{directory / DIGEST} is no digest: {describe_errors(error)}") from None
    if canonical_json(digest.model_dump(mode="json")) + b"\n" != data:
        raise AuditError(f"{directory / DIGEST} isn't written as it was signed")
    return digest


def is_signed_by(digest: Digest, verifier: ExportVerifier) -> bool:
    """Whether the key signed it."""
    return verifier.verifies(digest.signature, _signed_bytes(digest))


def digest_hash(directory: Path) -> Sha256:
    """Names the export in the one after it."""
    return Sha256(sha256(_read(directory, DIGEST)).hexdigest())


def file_entry(path: Path) -> FileEntry:
    """A file's hash and length.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return FileEntry(sha256=Sha256(file_digest(file, "sha256").hexdigest()), bytes=path.stat().st_size)


def files_of(directory: Path) -> list[str]:
    """All files below, by their names as a digest has them."""
    return sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()
    )


def _signed_bytes(digest: Digest) -> bytes:
    return canonical_json(digest.model_dump(mode="json", exclude={"signature"}))


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise AuditError(f"{directory / name} can't be read: {error.strerror}") from None


def read_chain(path: Path) -> PreviousExport | None:
    """Which export was the last one, by the file that remembers it.

    Raises:
        AuditError: the file isn't one.
    """
    try:
        return PreviousExport.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise AuditError(f"{path} doesn't say which export was last: {error}") from None


def write_chain(path: Path, last: PreviousExport) -> None:
    """Remember the last export.

    Raises:
        AuditError: the file can't be written.
    """
    try:
        write_whole(path, canonical_json(last.model_dump(mode="json")) + b"\n")
    except OSError as error:
        raise AuditError(f"{path} can't be written: {error}") from None
