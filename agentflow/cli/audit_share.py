"""``agentflow audit share`` and ``ocsf``: what of a bundle leaves the house."""

from pathlib import Path
from typing import Annotated

import typer

from agentflow.audit.bundle import read_manifest
from agentflow.audit.log_check import read_records
from agentflow.audit.ocsf import events
from agentflow.audit.sharing import share
from agentflow.cli.audit_home import AuditHome, Home, KmsKey
from agentflow.cli.exits import ExitCode
from agentflow.cli.options import AsJson
from agentflow.cli.output import facts
from agentflow.cli.session import open_session
from agentflow.redaction import Redactor

Bundle = Annotated[Path, typer.Argument(metavar="DIR", help="A bundle.", exists=True, file_okay=False)]


def audit_share(
    context: typer.Context,
    bundle: Bundle,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to; it must not exist.")],
    home: Home = None,
    kms_key: KmsKey = None,
    as_json: AsJson = False,
) -> None:
    """Write what of a bundle may be given away: the signed log, and what was said without what is personal.

    Values that types mark as personal or secret are left out wherever they turn up, and cards, IBANs, social
    security numbers, e-mail addresses, telephone numbers and keys. Names in free text that nothing marks are
    not found. The bundle is verified first, and what is written is signed by the key of its export.

    Exit 5 if of some runs nothing that was said is told.
    """
    with open_session(context, as_json=as_json) as session:
        place = AuditHome(home, kms_key)
        signer = place.own_signer()
        with session.output.progress("redacting"):
            shared = session.run(share(bundle, out, place.keys(), Redactor(), signer))
        without = ", ".join(f"{count} ({why})" for why, count in shared.without_texts.items())
        session.output.result(
            {"bundle": str(out), "texts": shared.texts, "runs_without_texts": dict(shared.without_texts)},
            facts([("bundle", out), ("texts", shared.texts), ("runs without texts", without or None)]),
        )
        if shared.without_texts:
            raise typer.Exit(ExitCode.INCOMPLETE)


def audit_ocsf(context: typer.Context, bundle: Bundle) -> None:
    """Print the decision log as OCSF events, one a line, for a SIEM. Nothing that was said is in them."""
    with open_session(context, as_json=True) as session:
        session.output.lines(events(read_manifest(bundle), read_records(bundle)))
