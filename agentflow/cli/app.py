"""The Typer app: the options that all commands share, and the list of commands."""

import logging
from typing import Annotated

import typer

from agentflow.cli.approvals import approvals_app
from agentflow.cli.approver import approver_app
from agentflow.cli.audit import audit_app
from agentflow.cli.connection import DEFAULT_ADDRESS, Connection
from agentflow.cli.cost import cost
from agentflow.cli.decide import deciding
from agentflow.cli.demo import demo
from agentflow.cli.dev import dev
from agentflow.cli.exits import MEANINGS
from agentflow.cli.freeze import freeze, freezes, unfreeze
from agentflow.cli.ledger import ledger_app
from agentflow.cli.policy import policy_app
from agentflow.cli.reexecute import reexecute_run
from agentflow.cli.replay import replay
from agentflow.cli.resolve import resolve
from agentflow.cli.run import run
from agentflow.cli.runs import runs
from agentflow.cli.seal_keys import app as seal_keys_app
from agentflow.cli.setup import setup
from agentflow.cli.show import show, watch
from agentflow.cli.status import status
from agentflow.cli.tools import tools_app
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.redactor import Redactor
from agentflow.version import UNKNOWN, installed_version

app: typer.Typer = typer.Typer(
    name="agentflow",
    no_args_is_help=True,
    # A bug keeps its traceback, but never with local variables in it: one of them is an API key.
    pretty_exceptions_enable=False,
    epilog="Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + ".",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        found = installed_version()
        told = "unknown: agentflow isn't installed, it runs from its source" if found == UNKNOWN else found
        typer.echo(told)
        raise typer.Exit


@app.callback()
def agentflow(
    context: typer.Context,
    *,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help=f"Of Temporal; else TEMPORAL_ADDRESS, else {DEFAULT_ADDRESS}."
        ),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(metavar="NAME", help="Else TEMPORAL_NAMESPACE, else default.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of Temporal's configuration file; else TEMPORAL_PROFILE."),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Run AI agents as Temporal workflows, and answer what they ask.

    The connection is Temporal's own: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
    TEMPORAL_API_KEY, TEMPORAL_TLS_… and the profiles of its configuration
    file. The options here override it, and come before the command.
    """
    context.obj = Connection(address=address, namespace=namespace, profile=profile)


# What runs a project on this machine.
app.command()(demo)
app.command()(dev)
# What makes and looks at runs.
app.command()(setup)
app.command()(run)
app.command()(runs)
app.command()(status)
app.command()(show)
app.command()(watch)
app.command()(cost)
# What answers them.
app.add_typer(approvals_app)
app.command(
    "approve", help="Approve a pending action, exactly as it is shown. Exit 1 if that doesn't count."
)(deciding("approve"))
app.command(
    "reject",
    help="Reject a pending action: it isn't done, and the model is told so. Exit 1 if that doesn't count.",
)(deciding("reject"))
app.command()(resolve)
app.add_typer(approver_app)
# What stops them.
app.command()(freeze)
app.command()(unfreeze)
app.command()(freezes)
# What runs and activities know each other by.
app.add_typer(seal_keys_app)
# What became of writes.
app.add_typer(ledger_app)
# What proves a change.
app.command()(replay)
app.command("reexecute")(reexecute_run)
app.add_typer(policy_app)
app.add_typer(tools_app)
app.add_typer(audit_app)


def run_app() -> None:
    """Run the command that the process was started with."""
    # Standard output is for results; what libraries have to say goes to standard error.
    configure_logs("console", logging.WARNING, texts=Redactor())
    # It tells of each try to connect; the command says once that it could not.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    app()
