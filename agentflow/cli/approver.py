"""``agentflow approver``: a key of one's own, and decisions that are signed with it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agentflow.adapters.jwks_file import add_key
from agentflow.adapters.signer import Signer, delegation_id
from agentflow.cli.approval_views import approval_views
from agentflow.cli.asking import Yes, passphrase
from agentflow.cli.decide import ApprovalIdArgument, Hash, Reason, Said, decide, shown_action
from agentflow.cli.exits import misused, refused
from agentflow.cli.option_groups import Command
from agentflow.cli.options import AsJson, WorkflowId
from agentflow.cli.output import exact_json
from agentflow.cli.own_key import (
    PASSPHRASE_VARIABLE,
    Delegation,
    KeyFile,
    check_run,
    key_path,
    own_key,
    span_of,
    token_in,
)
from agentflow.cli.revoke import Jwks, revoke, revoke_delegation
from agentflow.cli.session import Session, open_session
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.contracts.identity import SigningAlgorithm
from agentflow.contracts.names import APPROVE_SIGNAL, REJECT_SIGNAL
from agentflow.core.approval import Verdict
from agentflow.core.jwks import entry_of
from agentflow.core.person import beyond
from agentflow.errors import AgentflowError

approver_app: typer.Typer = typer.Typer(
    name="approver", help="Decide with a key of your own, where decisions are signed.", no_args_is_help=True
)

Roles = Annotated[list[str] | None, typer.Option("--role", metavar="ROLE", help="As often as needed.")]
Valid = Annotated[str, typer.Option("--valid", metavar="TIME", help="How long it counts, such as 15m or 8h.")]


@approver_app.command()
def init(
    context: typer.Context,
    *,
    subject: Annotated[str, typer.Option("--subject", metavar="NAME", help="Who you are to the rules.")],
    role: Roles = None,
    alg: Annotated[SigningAlgorithm, typer.Option(help="The kind of key.")] = "EdDSA",
    expires: Annotated[
        datetime | None, typer.Option(help="When it stops counting, in UTC.", formats=["%Y-%m-%d"])
    ] = None,
    jwks: Jwks = None,
    key_file: KeyFile = None,
    plain: Annotated[bool, typer.Option("--plain", help="Keep the key without a passphrase.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its public part goes into the list that the workers read.

    The private part stays in a file that only you can read, encrypted with a
    passphrase.
    """
    with open_session(context, as_json=as_json) as session:
        path = key_path(key_file)
        if path.exists():
            raise refused(f"there is a key at {path}; no key is overwritten")
        signer = Signer.generate(subject, tuple(role or ()), alg)
        public = signer.public(expires=expires.replace(tzinfo=UTC) if expires else None)
        try:
            signer.save(path, None if plain else _new_passphrase())
        except OSError as error:
            raise refused(f"the key can't be written: {error}") from None
        if jwks:
            add_key(jwks, public)
        else:
            session.output.note(f"add this to the workers' list of keys; the private part is in {path}")
        session.output.result(entry_of(public), exact_json(entry_of(public)))


@approver_app.command()
def show(context: typer.Context, *, key_file: KeyFile = None, as_json: AsJson = False) -> None:
    """Show your key's public part, as the workers' list has it."""
    with open_session(context, as_json=as_json) as session:
        entry = entry_of(own_key(key_file).public())
        session.output.result(entry, exact_json(entry))


def _deciding_with_key(verdict: Verdict) -> Command:
    """The command that says this of one action, signed."""

    def decide_on(
        context: typer.Context,
        workflow_id: WorkflowId,
        approval_id: ApprovalIdArgument,
        *,
        reason: Reason = "",
        arguments_hash: Hash = None,
        delegation: Delegation = None,
        key_file: KeyFile = None,
        yes: Yes = False,
        as_json: AsJson = False,
    ) -> None:
        with open_session(context, as_json=as_json) as session:
            mine = _Mine(verdict, workflow_id, reason, delegation=delegation, signer=own_key(key_file))
            mine.decide(session, approval_id, arguments_hash, yes=yes)

    return decide_on


approver_app.command(
    "approve", help="Approve a pending action, exactly as it is shown, signed. Exit 1 if that doesn't count."
)(_deciding_with_key("approve"))
approver_app.command("reject", help="Reject a pending action, signed. Exit 1 if that doesn't count.")(
    _deciding_with_key("reject")
)


@approver_app.command()
def sign(
    context: typer.Context,
    workflow_id: WorkflowId,
    approval_id: ApprovalIdArgument,
    *,
    rejecting: Annotated[bool, typer.Option("--reject", help="Sign a rejection.")] = False,
    reason: Reason = "",
    arguments_hash: Hash = None,
    delegation: Delegation = None,
    valid: Valid = "15m",
    key_file: KeyFile = None,
) -> None:
    """Sign a decision and print it, to be sent as a signal by the Temporal CLI or Web UI."""
    with open_session(context, as_json=True) as session:
        verdict: Verdict = "reject" if rejecting else "approve"
        signer = own_key(key_file)
        mine = _Mine(verdict, workflow_id, reason, delegation=delegation, signer=signer, valid=valid)
        client = session.client()
        request = session.run(shown_action(client, workflow_id, mine.said(approval_id, arguments_hash)))
        session.output.show(*approval_views(workflow_id, request))
        signed = mine.signed(session, request)
        signal = REJECT_SIGNAL if rejecting else APPROVE_SIGNAL
        session.output.note(f"send it as the signal {signal} to {workflow_id}, within {valid}")
        session.output.result(signed.model_dump(mode="json"))


@approver_app.command()
def delegate(
    context: typer.Context,
    *,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Who may decide in your place.")],
    role: Roles = None,
    valid: Valid = "24h",
    key_file: KeyFile = None,
) -> None:
    """Print a delegation: for its time, somebody with a key of their own decides in your place.

    They give it to ``approver approve --delegation``. It can't be passed on, counts
    as long as both keys do, and can be revoked alone by its id. Runs take it for a
    week at most, unless their workers say otherwise.
    """
    with open_session(context) as session:
        signer = own_key(key_file)
        roles = tuple(role) if role else signer.roles
        if unheld := beyond(roles, signer.roles):
            raise misused(f"your key doesn't have the role {', '.join(unheld)}")
        token = signer.delegation(to, roles, span_of(valid, "--valid"))
        as_whom = f"as {', '.join(roles) or 'anybody'} for {signer.subject}, for {valid}"
        session.output.note(f"{to} may decide {as_whom}; its id is {delegation_id(token)}")
        typer.echo(token)


approver_app.command()(revoke)
approver_app.command("revoke-delegation")(revoke_delegation)


class _Mine:
    """A decision of the person whose key it is."""

    def __init__(
        self,
        verdict: Verdict,
        workflow_id: str,
        reason: str,
        *,
        delegation: Path | None,
        signer: Signer,
        valid: str = "15m",
    ) -> None:
        self._verdict: Verdict = verdict
        self._workflow_id = workflow_id
        self._reason = reason
        self._delegation = token_in(delegation) if delegation else None
        self._signer = signer
        self._valid = span_of(valid, "--valid")

    def said(self, approval_id: str, arguments_hash: str | None) -> Said:
        """What they say, before it is signed."""
        return Said(self._verdict, approval_id, self._signer.subject, (), self._reason, arguments_hash)

    def decide(self, session: Session, approval_id: str, arguments_hash: str | None, *, yes: bool) -> None:
        """Show, ask, sign, send."""
        said = self.said(approval_id, arguments_hash)
        decide(session, self._workflow_id, said, lambda request: self.signed(session, request), yes=yes)

    def signed(self, session: Session, request: ApprovalRequest) -> ApprovalDecision:
        """Sign what was shown, and nothing that is another run's."""
        session.run(check_run(session.client(), self._workflow_id, request.run))
        try:
            return self._signer.decision(
                request,
                self._verdict,
                reason=self._reason,
                valid_for=self._valid,
                delegation=self._delegation,
            )
        except AgentflowError as error:
            raise refused(str(error)) from None


def _new_passphrase() -> str:
    given = passphrase("a passphrase for the key", PASSPHRASE_VARIABLE, twice=True)
    if not given:
        raise misused("a passphrase is needed; --plain keeps the key without one")
    return given
