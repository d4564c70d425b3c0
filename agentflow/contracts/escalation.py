"""A run that waits for a person to take over."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from agentflow.contracts.effects import EarlierEffect
from agentflow.contracts.identity import MAX_ROLES, MAX_TOKEN_CHARACTERS, Consent, RefusedAttempt
from agentflow.contracts.person import Name
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import (
    Contract,
    Json,
    Sha256,
    ToolCallId,
    is_empty,
    is_none,
    is_zero,
    sha256_of,
)


class EffectInDoubt(Contract):
    """A write that may or may not have happened: what is known of it."""

    key: Sha256
    """The ledger's, and the idempotency key that the outside system was given."""
    tool: str
    tool_call_id: ToolCallId
    arguments: dict[str, Json]
    detail: str
    """What the last attempts came to."""
    attempts: int | None = None
    """How many attempts may have called the tool; ``None`` when the ledger can't be asked."""
    earlier: EarlierEffect | None = Field(default=None, exclude_if=is_none)
    """What an earlier run of the workflow id did, where that is what a person must tell: whether it counts.
    This call itself has done nothing then."""


ResolutionAction = Literal["guide", "answer", "abort", "happened", "did_not_happen", "count", "again"]
"""``guide``: tell the model ``text`` and go on. ``answer``: use ``answer`` in place of the model's.
``abort``: end the run as ``escalated``. Of a write in doubt: ``happened``, with ``result`` as what the tool
would have answered, or ``did_not_happen``. Of a write that an earlier run of the workflow id made: ``count``
it for this call's, or make it ``again``; one that is not known to be done is counted with ``result``."""


class SaidWord(Contract):
    """One person's word on an escalation that needs more people than have agreed."""

    consent: Consent
    action: ResolutionAction
    text: str = Field(default="", exclude_if=is_empty)
    result: Json = Field(default=None, exclude_if=is_none)
    word_hash: Sha256
    """Two people say the same if this is the same: ``Resolution.word_hash``."""


class Escalation(Contract):
    """Why a person is needed, and until when the run waits."""

    id: str
    reason: str
    deadline: datetime
    asked_at: datetime | None = Field(default=None, exclude_if=is_none)
    """When people were asked."""
    answerable: bool
    """Whether a person may supply the answer that the model couldn't."""
    run: Sha256 | None = Field(default=None, exclude_if=is_none)
    """Names the run in what is signed."""
    identity: str = "trusted"
    """How people prove who they are: ``trusted`` takes their word, ``signed`` wants a token."""
    effect: EffectInDoubt | None = None
    """The write whose end a person must tell; then the actions are ``happened``, ``did_not_happen`` and
    ``abort``, or ``count``, ``again`` and ``abort``."""
    quorum: Quorum = Quorum()
    """Who must say the same: of a write in doubt, as many and with the roles that its approval needed.
    Anybody may abort."""
    next_roles_from: datetime | None = Field(default=None, exclude_if=is_none)
    """When the quorum's ``next_roles`` begin to count."""
    requested_by: str = ""
    """Who started the run; may abort it, and answer nothing."""
    words: tuple[SaidWord, ...] = Field(default=(), exclude_if=is_empty)
    """What people have said so far, where one is not enough or they don't agree."""
    taken_back: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Who had said something, and no longer counts."""
    refused: tuple[RefusedAttempt, ...] = Field(default=(), exclude_if=is_empty)
    """The last answers that did not count."""
    refusals: int = Field(default=0, exclude_if=is_zero)
    """How many did not count."""

    @property
    def question_hash(self) -> Sha256:
        """Names what people are asked, of all that this run ever asks: a reset run counts its ids anew."""
        asked_at = self.asked_at and self.asked_at.isoformat()
        return sha256_of([self.id, self.reason, self.answerable, asked_at, self.deadline.isoformat()])

    def roles_at(self, now: datetime) -> tuple[str, ...]:
        """The roles that count at a time; empty means any."""
        is_later = self.next_roles_from is not None and now >= self.next_roles_from
        return (*self.quorum.roles, *self.quorum.next_roles) if is_later else self.quorum.roles


class Resolution(Contract):
    """The payload of the ``resolve`` signal."""

    action: ResolutionAction
    by: Name
    """The stated name of the person; once it counts, the name that was verified."""
    text: str = Field(default="", max_length=20_000)
    answer: Json = None
    result: Json = None
    """The tool's output, for ``happened`` and ``count``: it must fit the tool's contract."""
    escalation_id: str | None = None
    """If given, must be the open escalation's."""
    roles: tuple[str, ...] = Field(default=(), max_length=MAX_ROLES, exclude_if=is_empty)
    """In which they answer."""
    token: str | None = Field(default=None, max_length=MAX_TOKEN_CHARACTERS, exclude_if=is_none)
    """The same, signed (``ResolutionClaims``); without it, a run that wants signed decisions refuses."""

    @property
    def said_hash(self) -> Sha256:
        """Of all that the answer says."""
        return sha256_of([self.action, self.text, self.answer, self.result])

    @property
    def word_hash(self) -> Sha256:
        """Of what others can agree to: all that it says but the text, which each writes for themselves."""
        return sha256_of([self.action, self.answer, self.result])


class RunStatus(Contract):
    """Answer of the ``status`` query."""

    agent: str
    release: str
    state: Literal["starting", "thinking", "acting", "waiting_for_approval", "escalated", "ended"]
    turn: int
    pending_approvals: int
    escalation: Escalation | None = None
    outcome: str | None = None
    """The outcome's status, once ended."""
    detail: str = ""
    frozen: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The freezes that the run has heard of: its rules deny all writes."""
