"""``agentflow audit upload`` and ``fetch``: bundles in a bucket that nobody can change."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from agentflow.adapters.stores import S3_FORM, open_vault
from agentflow.audit.vault import fetch, upload
from agentflow.cli.audit_share import Bundle
from agentflow.cli.exits import CommandFailed, ExitCode
from agentflow.cli.options import AsJson
from agentflow.cli.output import facts
from agentflow.cli.session import open_session

Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", help=f"{S3_FORM}, of which only the bucket is needed.")
]
PROGRESS_EVERY = 50


def audit_upload(
    context: typer.Context,
    bundle: Bundle,
    address: Address,
    *,
    lock: Annotated[
        Literal["compliance", "governance"],
        typer.Option(help="compliance: nobody can delete it before its time, the account's owner included."),
    ] = "compliance",
    as_json: AsJson = False,
) -> None:
    """Put a bundle into a bucket with Object Lock, locked as long as the bundle says it is to be kept.

    What is there already stays: after a failure, the same command goes on where it was.
    """
    with open_session(context, as_json=as_json) as session:
        vault = open_vault(address, "COMPLIANCE" if lock == "compliance" else "GOVERNANCE")
        with session.output.progress("uploading") as progress:
            told = progress.counting("uploading: {} files", PROGRESS_EVERY)
            try:
                export, written = session.run(upload(bundle, vault, told))
            except OSError as error:
                hint = "the bundle is whole here; the same command goes on"
                raise CommandFailed(ExitCode.UNREACHABLE, f"{error}; {hint}") from None
        place = vault.place_of(export)
        session.output.result(
            {"place": place, "export": export, "written": written},
            facts([("place", place), ("files written", written)]),
        )


def audit_fetch(
    context: typer.Context,
    address: Address,
    export: Annotated[str, typer.Argument(metavar="EXPORT", help="The bundle's id.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to; it must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Get a bundle back from its bucket. Verify it then: nothing here does."""
    with open_session(context, as_json=as_json) as session:
        vault = open_vault(address)
        try:
            with session.output.progress("fetching"):
                count = session.run(fetch(vault, export, out))
        except OSError as error:
            raise CommandFailed(ExitCode.UNREACHABLE, str(error)) from None
        session.output.result(
            {"bundle": str(out), "files": count}, facts([("bundle", out), ("files", count)])
        )
