"""``agentflow audit erase`` and ``expire``: what was said in runs becomes unreadable."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agentflow.audit.bundle import read_manifest
from agentflow.cli.asking import Yes, confirm
from agentflow.cli.audit_home import AuditHome, Home, KmsKey
from agentflow.cli.exits import CommandFailed, ExitCode
from agentflow.cli.options import AsJson
from agentflow.cli.output import safe, table
from agentflow.cli.session import open_session


def audit_erase(
    context: typer.Context,
    bundle: Annotated[
        Path, typer.Argument(metavar="DIR", help="A bundle that the run is in.", exists=True, file_okay=False)
    ],
    workflow_id: Annotated[str, typer.Argument(metavar="WORKFLOW_ID", help="The run.")],
    *,
    home: Home = None,
    kms_key: KmsKey = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete a run's key: what was said in it can't be read any more, in any bundle. The log stays whole.

    Nothing brings it back. Temporal's history is not touched: it goes when the namespace's retention is over.
    """
    with open_session(context, as_json=as_json) as session:
        keys = AuditHome(home, kms_key).keys()
        found = sorted({run.key_id for run in read_manifest(bundle).runs if run.workflow_id == workflow_id})
        if not found:
            raise CommandFailed(ExitCode.NOT_FOUND, f"{bundle} has no run {workflow_id}")
        confirm(f"Erase what was said in {workflow_id}, for good?", yes=yes, otherwise="nothing was erased")
        erased = [key_id for key_id in found if session.run(keys.delete(key_id))]
        session.output.result(
            {"workflow_id": workflow_id, "erased": erased},
            safe("erased" if erased else "there was no key any more"),
        )


def audit_expire(
    context: typer.Context,
    *,
    home: Home = None,
    kms_key: KmsKey = None,
    as_json: AsJson = False,
) -> None:
    """Delete the keys whose time is over, as --contents-days of their export said. For a nightly job."""
    with open_session(context, as_json=as_json) as session:
        keys = AuditHome(home, kms_key).keys()
        overdue = session.run(keys.overdue(datetime.now(UTC)))
        for key_id in overdue:
            session.run(keys.delete(key_id))
        view = (
            table(("ERASED",), [(key_id,) for key_id in overdue]) if overdue else safe("nothing is overdue")
        )
        session.output.result({"erased": list(overdue)}, view)
