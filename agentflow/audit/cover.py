"""What goes with a bundle besides its own files, under a signature of its own.

shared.json     of what `share` wrote: the texts
incident.json   of what `incident` wrote: the timeline and the pages
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from agentflow.adapters.whole_file import write_whole
from agentflow.audit import bundle
from agentflow.audit.log_check import Problem
from agentflow.audit.signing import ExportSigner, ExportVerifier
from agentflow.contracts.bundle import VERSION, Cover, CoverForm, Digest, FileEntry
from agentflow.contracts.wire import canonical_json
from agentflow.core.answer import describe_errors
from agentflow.errors import AuditError

SHARED, INCIDENT = "shared.json", "incident.json"
BUNDLE, REPORTS = "bundle", "reports"
"""Folders of an incident."""


def signed_cover(
    form: CoverForm, source: Path, digest: Digest, files: Mapping[str, FileEntry], signer: ExportSigner
) -> bytes:
    """The bytes of a cover.

    Args:
        form: What it is of.
        source: The bundle.
        digest: The bundle's.
        files: What goes with it, by their names.
        signer: The key that signed the bundle.

    Raises:
        AuditError: the bundle was signed by another key, or can't be read.
    """
    if digest.public_key != signer.public.encoded:
        own = ExportVerifier.of(digest.public_key).fingerprint
        raise AuditError(
            f"{source} is signed by {own}, and the key here is {signer.public.fingerprint}: give --home of "
            "whoever exported it"
        )
    cover = Cover(
        form=form,
        export=digest.export,
        digest=bundle.digest_hash(source),
        files=dict(files),
        public_key=digest.public_key,
    )
    signature = signer.signature(_signed_bytes(cover), "cover")
    return _encoded(cover.model_copy(update={"signature": signature}))


def write_cover(path: Path, data: bytes) -> None:
    """Write a cover.

    Raises:
        AuditError: it can't be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise AuditError(f"{path} can't be written: {error}") from None


def read_cover(data: bytes, where: str) -> Cover:
    """A cover, whoever signed it.

    Raises:
        AuditError: it isn't one, or isn't written as it was signed.
    """
    try:
        cover = Cover.model_validate_json(data)
    except ValidationError as error:
        raise AuditError(f"{where} is no cover: {describe_errors(error)}") from None
    if cover.version != VERSION:
        raise AuditError(f"the version of {where} is {cover.version}; known is {VERSION}")
    if _encoded(cover) != data:
        raise AuditError(f"{where} isn't written as it was signed")
    return cover


def is_genuine(cover: Cover, verifier: ExportVerifier) -> bool:
    """Whether the key signed it."""
    return cover.public_key == verifier.encoded and verifier.verifies(
        cover.signature, _signed_bytes(cover), "cover"
    )


def check_cover(
    path: Path, form: CoverForm, source: Path, digest: Digest
) -> tuple[Cover | None, list[Problem]]:
    """The cover, if the bundle's key signed it for that bundle; else what is wrong with it.

    Args:
        path: The cover's.
        form: What it must be of.
        source: The bundle, whose digest is a file.
        digest: The bundle's.
    """
    try:
        cover = read_cover(bundle.read_file(path), path.name)
        signer = ExportVerifier.of(digest.public_key)
    except AuditError as error:
        return None, [Problem("digest", path.name, str(error))]
    if not is_genuine(cover, signer):
        return None, [Problem("signature", path.name, "the bundle's key did not sign what is in it")]
    if (cover.form, cover.export, cover.digest) != (form, digest.export, bundle.digest_hash(source)):
        return None, [Problem("digest", path.name, "it is of another bundle, or of another form of one")]
    return cover, []


def _signed_bytes(cover: Cover) -> bytes:
    return canonical_json(cover.model_dump(mode="json", exclude={"signature"}))


def _encoded(cover: Cover) -> bytes:
    return canonical_json(cover.model_dump(mode="json")) + b"\n"
