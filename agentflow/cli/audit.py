"""``agentflow audit``: proves runs later."""

import typer

from agentflow.cli.audit_export import audit_export
from agentflow.cli.audit_keys import audit_erase, audit_expire
from agentflow.cli.audit_share import audit_share
from agentflow.cli.audit_verify import audit_verify

audit_app: typer.Typer = typer.Typer(
    name="audit", help="Prove later what runs did, to someone who doesn't trust you.", no_args_is_help=True
)
audit_app.command("export")(audit_export)
audit_app.command("verify")(audit_verify)
audit_app.command("share")(audit_share)
audit_app.command("erase")(audit_erase)
audit_app.command("expire")(audit_expire)
