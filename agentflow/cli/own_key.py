"""The key of the person at the shell: where it is, how it is opened, and what it signs."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from agentflow.adapters.chains import run_of
from agentflow.adapters.signer import Signer, is_encrypted
from agentflow.cli.asking import passphrase
from agentflow.cli.exits import misused, refused
from agentflow.cli.session import Session
from agentflow.client import AgentClient
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.wire import Sha256
from agentflow.core.idempotency import run_fingerprint, run_root
from agentflow.errors import AgentflowError

KEY_VARIABLE = "AGENTFLOW_APPROVER_KEY"
PASSPHRASE_VARIABLE = "AGENTFLOW_APPROVER_PASSPHRASE"  # noqa: S105 - its name, not its value

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="FILE", help=f"Your key; else {KEY_VARIABLE}, else one in your home directory."
    ),
]

Delegation = Annotated[
    Path | None,
    typer.Option("--delegation", metavar="FILE", help="Decide in the place of who gave it to you."),
]

_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def key_path(given: Path | None) -> Path:
    """Where the person's key is."""
    if given is not None:
        return given
    named = os.environ.get(KEY_VARIABLE)
    return Path(named) if named else Path(typer.get_app_dir("agentflow")) / "approver.json"


def own_key(given: Path | None) -> Signer:
    """The person's key, opened.

    Raises:
        CommandFailed: there is none, or it can't be opened.
    """
    path = key_path(given)
    if not path.exists():
        raise misused(
            f"there is no key at {path}: make one with `agentflow approver init`, or give --key-file"
        )
    asked = passphrase(f"the passphrase of {path}", PASSPHRASE_VARIABLE) if is_encrypted(path) else None
    return Signer.load(path, asked)


def span_of(text: str, option: str) -> timedelta:
    """A length of time, such as ``15m``.

    Raises:
        CommandFailed: it is none.
    """
    found = _SPAN.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise misused(f"{option} is a number with s, m, h or d, such as 15m; not {text!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def token_in(path: Path) -> str:
    """The token in a file.

    Raises:
        CommandFailed: it can't be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise misused(f"the delegation can't be read: {error}") from None


async def check_run(client: AgentClient, workflow_id: str, run: Sha256 | None) -> None:
    """Hold what a worker says of a run against what the server says: the signature is bound to it.

    Raises:
        CommandFailed: they differ.
    """
    temporal = client.temporal
    root, chain = run_root(temporal.namespace, workflow_id), await run_of(temporal, workflow_id)
    if run != run_fingerprint(root, chain):
        raise refused(
            f"the worker of {workflow_id} names another run than the server does; nothing was signed"
        )


def signed_if_asked(
    session: Session,
    client: AgentClient,
    workflow_id: str,
    escalation: Escalation,
    resolution: Resolution,
    *,
    key_file: Path | None = None,
    delegation: Path | None = None,
) -> Resolution:
    """An answer bound to an escalation, and signed if the run wants that.

    Raises:
        CommandFailed: it must be signed, and can't be.
    """
    bound = resolution.model_copy(update={"escalation_id": escalation.id})
    if escalation.identity != "signed":
        return bound
    session.run(check_run(client, workflow_id, escalation.run))
    signer = own_key(key_file)
    if resolution.by != signer.subject:
        raise misused(f"the key is {signer.subject}'s, and --by says {resolution.by}; nothing was sent")
    try:
        token = token_in(delegation) if delegation else None
        return signer.resolution(escalation, resolution, delegation=token)
    except AgentflowError as error:
        raise refused(str(error)) from None
