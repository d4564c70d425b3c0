"""A person's key, and what they sign with it: starts of runs, decisions, answers to escalations, delegations.

A service that knows who its users are can sign for them, with a key whose ``subjects`` are theirs.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.identity import (
    DECISION_TYPE,
    DELEGATION_TYPE,
    RESOLUTION_TYPE,
    ApproverKey,
    Claims,
    DecisionClaims,
    DelegationClaims,
    ResolutionClaims,
    SigningAlgorithm,
)
from agentflow.contracts.person import fault_of
from agentflow.contracts.requester import START_TYPE, StartClaims
from agentflow.contracts.task import AgentTask
from agentflow.core.answer import describe_errors
from agentflow.core.approval import Verdict
from agentflow.core.durations import checked
from agentflow.core.idempotency import arguments_hash
from agentflow.core.jws import Key, payload_of, public_members, signed
from agentflow.core.requester import given_task, task_hash
from agentflow.errors import AgentflowError, ConfigurationError
from agentflow.private_files import make_folder, open_file

VALID_FOR = timedelta(minutes=15)
"""A signature's life, unless it is said otherwise. Runs take no longer one, unless their workers say
otherwise."""


class _Common(TypedDict):
    sub: str
    iat: int
    exp: int


@dataclass(frozen=True)
class _Stored:
    """The file: a private key in PEM (PKCS #8), and whose it is."""

    subject: str
    roles: tuple[str, ...]
    kid: str
    alg: SigningAlgorithm
    private_key: str


_STORED: TypeAdapter[_Stored] = TypeAdapter(_Stored)


@dataclass(frozen=True)
class Signer:
    """One person with their private key. Never in a history or a log: what leaves are tokens."""

    subject: str
    roles: tuple[str, ...]
    kid: str
    alg: SigningAlgorithm
    key: Key

    def __post_init__(self) -> None:
        for name in (self.subject, *self.roles):
            if fault := fault_of(name):
                raise ConfigurationError(f"a key can't be for the name {ascii(name)[:80]}: it {fault}")

    def __repr__(self) -> str:
        return f"Signer({self.subject!r}, kid={self.kid!r})"

    @classmethod
    def generate(
        cls, subject: str, roles: Sequence[str] = (), alg: SigningAlgorithm = "EdDSA", kid: str | None = None
    ) -> "Signer":
        """A new key. Its ``kid`` is its thumbprint (RFC 7638) unless it is given."""
        match alg:
            case "EdDSA" | "Ed25519":
                key: Key = OKPKey.generate_key("Ed25519")
            case "ES256":
                key = ECKey.generate_key("P-256")
            case "RS256":
                key = RSAKey.generate_key(3072)
        return cls(subject, tuple(roles), kid or key.thumbprint(), alg, key)

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> "Signer":
        """The key in a file.

        Raises:
            ConfigurationError: it can't be read, or the passphrase is missing or wrong.
        """
        stored = _stored(path)
        kind = {"ES256": ECKey, "RS256": RSAKey}.get(stored.alg, OKPKey)
        try:
            key = kind.import_key(stored.private_key, password=passphrase)
        except (JoseError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{path}: the key can't be opened: {error}") from None
        return cls(stored.subject, stored.roles, stored.kid, stored.alg, key)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Write the key to a new file that only its owner can read, encrypted if there is a passphrase.

        Raises:
            FileExistsError: there is such a file; no key is overwritten.
        """
        pem = self.key.as_pem(private=True, password=passphrase or None).decode()
        stored = _Stored(self.subject, self.roles, self.kid, self.alg, pem)
        make_folder(path.parent)
        handle = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(handle, "wb") as file:
            file.write(_STORED.dump_json(stored, indent=2) + b"\n")

    def public(self, *, expires: datetime | None = None) -> ApproverKey:
        """What a worker needs to know of it."""
        return ApproverKey(
            kid=self.kid,
            alg=self.alg,
            jwk=public_members(self.key),
            subjects=(self.subject,),
            roles=self.roles,
            expires=expires,
        )

    def decision(
        self,
        request: ApprovalRequest,
        verdict: Verdict,
        *,
        reason: str = "",
        valid_for: timedelta = VALID_FOR,
        delegation: str | None = None,
        subject: str | None = None,
        roles: Sequence[str] | None = None,
        now: datetime | None = None,
    ) -> ApprovalDecision:
        """A signed decision on an action, bound to the arguments in the request.

        Args:
            request: The pending action, as the person was shown it.
            verdict: What they say.
            reason: Why; it is recorded.
            valid_for: How long the signature counts: a second at least.
            delegation: The token of somebody who lets them decide in their place.
            subject: The person, if the key speaks for several.
            roles: In which roles; all that they have by default, or all that were delegated.
            now: The clock of the signer.

        Raises:
            AgentflowError: the run takes no signed decisions, or the request isn't what it says: its hash is
                that of other arguments.
        """
        if request.run is None or request.identity != "signed":
            raise AgentflowError(f"{request.id}: this run takes no signed decisions")
        if arguments_hash(request.tool, request.arguments) != request.arguments_hash:
            raise AgentflowError(f"{request.id}: its arguments are not those of its hash; nothing was signed")
        if roles is None:
            roles = _delegated(delegation).roles if delegation else self.roles
        claims = DecisionClaims(
            **self._times(valid_for, now, subject),
            run=request.run,
            approval_id=request.id,
            tool=request.tool,
            arguments_hash=request.arguments_hash,
            verdict=verdict,
            reason=reason,
            roles=tuple(roles),
            delegation=delegation,
        )
        return ApprovalDecision(
            approval_id=request.id,
            by=claims.sub,
            arguments_hash=request.arguments_hash,
            roles=claims.roles,
            reason=reason,
            verdict=verdict,
            token=self._token(claims, DECISION_TYPE),
        )

    def resolution(
        self,
        escalation: Escalation,
        resolution: Resolution,
        *,
        valid_for: timedelta = VALID_FOR,
        delegation: str | None = None,
        roles: Sequence[str] | None = None,
        now: datetime | None = None,
    ) -> Resolution:
        """The same answer, signed, to this escalation and no other, of exactly the write that is in doubt.

        Args:
            escalation: The open escalation, as the person was shown it.
            resolution: What they say.
            valid_for: How long the signature counts: a second at least.
            delegation: The token of somebody who lets them answer in their place.
            roles: In which roles; all that they have by default, or all that were delegated.
            now: The clock of the signer.

        Raises:
            AgentflowError: the run takes no signed answers.
        """
        if escalation.run is None or escalation.identity != "signed":
            raise AgentflowError(f"{escalation.id}: this run takes no signed answers")
        if roles is None:
            roles = resolution.roles or (_delegated(delegation).roles if delegation else self.roles)
        effect = escalation.effect
        claims = ResolutionClaims(
            **self._times(valid_for, now, resolution.by),
            run=escalation.run,
            escalation_id=escalation.id,
            question_hash=escalation.question_hash,
            effect_key=effect.key if effect else None,
            tool=effect.tool if effect else None,
            arguments_hash=arguments_hash(effect.tool, effect.arguments) if effect else None,
            resolution_hash=resolution.said_hash,
            roles=tuple(roles),
            delegation=delegation,
        )
        token = self._token(claims, RESOLUTION_TYPE)
        signed_answer = {"escalation_id": escalation.id, "roles": claims.roles, "token": token}
        return resolution.model_copy(update=signed_answer)

    def delegation(
        self,
        to: str,
        roles: Sequence[str],
        valid_for: timedelta,
        *,
        now: datetime | None = None,
        jti: str | None = None,
    ) -> str:
        """A token that lets another person decide in this one's place, in some of their roles.

        Its ``jti``, a random one unless it is given, names it where it is revoked.
        """
        times = self._times(valid_for, now, None)
        claims = DelegationClaims(**times, jti=jti or str(uuid4()), to=to, roles=tuple(roles))
        return self._token(claims, DELEGATION_TYPE)

    def start(
        self,
        workflow_type: str,
        task: AgentTask[Any],
        *,
        namespace: str,
        workflow_id: str,
        valid_for: timedelta = VALID_FOR,
        now: datetime | None = None,
    ) -> AgentTask[Any]:
        """The same task with a token that starts it, once as this run and never as another.

        The token is in the name of ``task.requested_by``: the worker asks whether the key speaks for them.

        Args:
            workflow_type: The agent's.
            task: What the run starts with.
            namespace: Where it is started.
            workflow_id: The run's.
            valid_for: How long the start may take to reach the server.
            now: The clock of the signer.
        """
        claims = StartClaims(
            **self._times(valid_for, now, task.requested_by),
            agent=workflow_type,
            namespace=namespace,
            workflow_id=workflow_id,
            task=task_hash(given_task(to_json(task))),
        )
        return task.model_copy(update={"requester_token": self._token(claims, START_TYPE)})

    def _times(self, valid_for: timedelta, now: datetime | None, subject: str | None) -> "_Common":
        signed_at = int((now or datetime.now(UTC)).timestamp())
        seconds = checked("valid_for", valid_for, timedelta(seconds=1)).total_seconds()
        return _Common(sub=subject or self.subject, iat=signed_at, exp=signed_at + int(seconds))

    def _token(self, claims: Claims, typ: str) -> str:
        return signed(claims.model_dump_json().encode(), self.key, alg=self.alg, kid=self.kid, typ=typ)


def is_encrypted(path: Path) -> bool:
    """Whether a key's file needs a passphrase.

    Raises:
        ConfigurationError: it can't be read.
    """
    return "ENCRYPTED" in _stored(path).private_key.partition("\n")[0]


def _stored(path: Path) -> _Stored:
    try:
        return _STORED.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"the approver's key can't be read: {error}") from None
    except ValidationError as error:
        raise ConfigurationError(f"{path} is no approver's key: {describe_errors(error)}") from None


def delegation_id(token: str) -> str:
    """The ``jti`` of a delegation: it is revoked by that.

    Raises:
        AgentflowError: it is no delegation.
    """
    return _delegated(token).jti


def _delegated(token: str) -> DelegationClaims:
    """What a delegation says. Whether it holds, the run decides."""
    try:
        return DelegationClaims.model_validate_json(payload_of(token))
    except ValidationError as error:
        raise AgentflowError(f"the delegation is none: {describe_errors(error)}") from None
    except ValueError as error:
        raise AgentflowError(f"the delegation is none: {error}") from None
