"""Bundles on their way to a vault and back."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agentflow.audit import bundle
from agentflow.audit.placing import new_directory
from agentflow.audit.signing import ExportVerifier
from agentflow.audit.succession import heads
from agentflow.audit.verify import verify
from agentflow.contracts.bundle import Digest, PreviousExport
from agentflow.contracts.wire import Sha256
from agentflow.core.answer import describe_errors
from agentflow.errors import AuditError
from agentflow.private_files import make_folder, write_file

if TYPE_CHECKING:
    # Every command imports this file, and boto3 takes as long to import as the rest of them.
    from agentflow.adapters.s3_vault import S3Vault


async def upload(
    directory: Path, vault: "S3Vault", progress: Callable[[int], None] = lambda number: None
) -> tuple[str, int]:
    """Put a bundle into a vault, locked as long as its manifest says. What is there already stays.

    It is verified first: what is locked stays as it is for good.

    Returns:
        Its id, and how many files were written.

    Raises:
        AuditError: it isn't as it was signed, or something else is in its place, or the vault doesn't lock.
        S3Error: the vault can't be reached, or refused.
    """
    for problem in (await verify(directory)).problems:
        raise AuditError(f"{directory} isn't as it was signed: {problem.where}: {problem.detail}")
    digest, retention = bundle.read_digest(directory), bundle.read_manifest(directory).retention
    files = {
        name: retention.contents_until if name.startswith(f"{bundle.CONTENTS}/") else retention.log_until
        for name in digest.files
    }
    written = await vault.put(
        digest.export, directory, {**files, bundle.DIGEST: retention.log_until}, progress
    )
    return digest.export, written


async def fetch(vault: "S3Vault", export: str, place: Path) -> int:
    """Get a bundle from a vault, to be verified. How many files it has.

    Raises:
        AuditError: it isn't there, or not whole, or the place exists.
        S3Error: the vault can't be reached, or refused.
    """
    with new_directory(place) as new:
        directory = new.path
        data = await vault.fetch(export, bundle.DIGEST)
        try:
            names = sorted(Digest.model_validate_json(data).files)
        except ValidationError as error:
            raise AuditError(f"the digest of {export} is none: {describe_errors(error)}") from None
        write_file(directory / bundle.DIGEST, data)
        for name in names:
            path = directory / _checked(name)
            make_folder(path.parent)
            write_file(path, await vault.fetch(export, name))
    return len(names) + 1


async def newest_in(vault: "S3Vault", expected: ExportVerifier) -> PreviousExport | None:
    """The newest export that was put into a vault, whatever was laid over it since.

    Args:
        vault: The vault.
        expected: The exporter's key: others may put things there, too.

    Returns:
        Its head; ``None`` if there is no export.

    Raises:
        AuditError: two exports follow the same one.
        S3Error: the vault can't be reached, or refused.
    """
    found: dict[Sha256, Digest] = {}
    for data in await vault.all_of(bundle.DIGEST):
        try:
            digest = bundle.parsed_digest(data, bundle.DIGEST)
        except AuditError:
            continue
        if bundle.is_signed_by(digest, expected):
            found[Sha256(sha256(data).hexdigest())] = digest
    last = heads(found)
    if len(last) > 1:
        named = ", ".join(sorted(each.export for each in last))
        raise AuditError(
            f"each of these exports is the last of its own chain, and there should be one: {named}"
        )
    return last[0] if last else None


def _checked(name: str) -> str:
    """A name as bundles have them: what a digest that somebody made names is written nowhere else."""
    parts = PurePosixPath(name).parts
    known = name in (bundle.MANIFEST, bundle.DECISIONS, bundle.LEAVES)
    if not known and not (len(parts) == 2 and parts[0] == bundle.CONTENTS and ".." not in parts):
        raise AuditError(f"the digest names {name!r}, which is no file of a bundle")
    return name
