"""``agentflow audit head``: which export is the newest."""

from typing import Annotated

import typer

from agentflow.adapters.stores import S3_FORM, open_vault
from agentflow.audit.last_export import newest
from agentflow.audit.vault import newest_in
from agentflow.cli.audit_home import AuditHome, Home, PublicKey
from agentflow.cli.exits import CommandFailed, ExitCode, misused
from agentflow.cli.options import AsJson
from agentflow.cli.output import facts
from agentflow.cli.session import open_session


def audit_head(
    context: typer.Context,
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help=f"A vault, {S3_FORM}; else the home is asked, which its owner can set back.",
        ),
    ] = None,
    *,
    public_key: PublicKey = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Say which export is the newest, for `audit verify --expect-head`. Exit 4 if there is none."""
    with open_session(context, as_json=as_json) as session:
        place = AuditHome(home)
        if address is None:
            head = newest(place.chain)
        else:
            expected = place.verifier(public_key)
            if expected is None:
                raise misused("give --public-key of the exporter: anybody may have put a bundle there")
            try:
                with session.output.progress("reading digests"):
                    head = session.run(newest_in(open_vault(address), expected))
            except OSError as error:
                raise CommandFailed(ExitCode.UNREACHABLE, str(error)) from None
        where = address or str(place.chain)
        if head is None:
            raise CommandFailed(ExitCode.NOT_FOUND, f"{where} has no export")
        session.output.result(
            {"head": head.digest, "export": head.export, "from": where},
            facts([("head", head.digest), ("export", head.export), ("from", where)]),
        )
