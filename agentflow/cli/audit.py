"""``agentflow audit``: proves runs later."""

import typer

from agentflow.cli.audit_export import audit_export
from agentflow.cli.audit_head import audit_head
from agentflow.cli.audit_keys import audit_erase, audit_expire
from agentflow.cli.audit_report import audit_incident, audit_report
from agentflow.cli.audit_share import audit_ocsf, audit_share
from agentflow.cli.audit_vault import audit_fetch, audit_upload
from agentflow.cli.audit_verify import audit_verify

audit_app: typer.Typer = typer.Typer(
    name="audit", help="Prove later what runs did, to someone who doesn't trust you.", no_args_is_help=True
)
audit_app.command("export")(audit_export)
audit_app.command("verify")(audit_verify)
audit_app.command("head")(audit_head)
audit_app.command("report")(audit_report)
audit_app.command("incident")(audit_incident)
audit_app.command("share")(audit_share)
audit_app.command("ocsf")(audit_ocsf)
audit_app.command("upload")(audit_upload)
audit_app.command("fetch")(audit_fetch)
audit_app.command("erase")(audit_erase)
audit_app.command("expire")(audit_expire)
