"""Bundles on their way to a vault and back."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agentflow.audit import bundle
from agentflow.contracts.bundle import Digest
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

    Returns:
        Its id, and how many files were written.

    Raises:
        AuditError: it can't be read, or something else is in its place, or the vault doesn't lock.
        S3Error: the vault can't be reached, or refused.
    """
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
    with bundle.new_directory(place) as directory:
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


def _checked(name: str) -> str:
    """A name as bundles have them: what a digest that somebody made names is written nowhere else."""
    parts = PurePosixPath(name).parts
    known = name in (bundle.MANIFEST, bundle.DECISIONS, bundle.LEAVES)
    if not known and not (len(parts) == 2 and parts[0] == bundle.CONTENTS and ".." not in parts):
        raise AuditError(f"the digest names {name!r}, which is no file of a bundle")
    return name
