"""What the ledger keeps of a write, and how a person closes one that is in doubt."""

from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from agentflow.contracts.person import Name
from agentflow.contracts.tools import Billed, ToolInvocation, ToolResult
from agentflow.contracts.wire import Contract, Json, Sha256, ToolCallId, is_empty, is_false, is_none, is_true

EffectState = Literal["intended", "done", "failed", "unknown"]
"""``intended``: an attempt began, and no end is recorded. ``done``: the effect happened. ``failed``: it
certainly did not. ``unknown``: nobody can tell but a person who looks at the outside system."""


class EffectRecord(Contract):
    """One write, as the ledger keeps it. Arguments are kept as a hash only: they may be personal."""

    key: Sha256
    """``core.idempotency.ledger_key``: the same for every attempt, reset and continue-as-new."""
    namespace: str
    workflow_id: str
    agent: str = Field(default="", exclude_if=is_empty)
    """Whose write it is; empty where the call does not say."""
    tenant: str = Field(default="", exclude_if=is_empty)
    """For whom; empty where the call does not say."""
    chain: str = Field(default="", exclude_if=is_empty)
    """Which run of the workflow id it is: ``core.idempotency.chain_of``."""
    run_id: str
    """The execution whose attempt wrote this record last."""
    tool: str
    tool_call_id: ToolCallId
    arguments_hash: Sha256
    work: Sha256 | None = Field(default=None, exclude_if=is_none)
    """``core.idempotency.same_work``: what other runs of the workflow id are compared by."""
    counts: Sha256 | None = Field(default=None, exclude_if=is_none)
    """The key of the record of an earlier run whose effect is counted for this call's: it has none of its
    own."""
    state: EffectState = "intended"
    owner: str
    """The attempt that may act on this record; no two attempts have the same name."""
    attempts: int = Field(default=1, ge=0)
    """How many attempts may have called the tool."""
    lease: timedelta = Field(ge=timedelta(0))
    """Counted from when the record was last written: how long the effect may still come about by what an
    attempt has begun. No other attempt acts before it is over."""
    result: str | None = None
    """The ``ToolResult`` as JSON, once done or failed."""
    detail: str = Field(default="", max_length=4_000)
    """What is known, for a person."""
    closed_by: str | None = Field(default=None, max_length=200)
    """The person who said what happened, or who gave up finding out."""
    seal: str = Field(default="", exclude_if=is_empty, max_length=100)
    """The workers', over all the rest and the version it was written as: ``core.record_seals``. Empty where
    who wrote it had no keys; such a record is shown, and not acted on."""

    @property
    def is_open(self) -> bool:
        """Whether the effect's end is still to be recorded, or to be found out by a person."""
        return self.state == "intended" or (self.state == "unknown" and self.closed_by is None)


class StoredEffect(Contract):
    """A record as a ledger holds it."""

    record: EffectRecord
    version: int = Field(ge=1)
    """1 when inserted; one more with each change. What ``EffectLedger.replace`` compares."""
    age: timedelta = Field(ge=timedelta(0))
    """Time since the record was last written, at least: by a clock that no worker sets, less what that may be
    wrong by."""
    created_at: datetime
    written_at: datetime
    """By the ledger's clock where it has one; else by that of the worker that wrote. For people, and for what
    may be forgotten; no lease is counted by it."""


EarlierEffects = Literal["ask", "count", "again"]
"""What an agent says beforehand of a write that an earlier run of its workflow id made, with the same
arguments: ``ask`` a person; ``count`` it for this run's; make it ``again``."""


class EarlierEffect(Contract):
    """An earlier write that stands in the way of a call.

    It is the call's very effect, of another run of the workflow id or of this one before it was reset; or
    what this run had in the call's place before that.
    """

    key: Sha256
    """Of its record, and the idempotency key that the outside system was given."""
    chain: str
    """The run id of that run's first execution."""
    tool_call_id: ToolCallId
    state: EffectState
    """As the record has it: ``intended`` may still come about. ``failed`` only in the call's place."""
    at: datetime
    """When that was written, by the ledger's clock."""
    other_arguments: bool = Field(default=False, exclude_if=is_false)
    """Whether it is another effect, that this run had in the same place before it was reset: it can't count
    for the call's."""
    lets_by: bool = Field(default=False, exclude_if=is_false)
    """Beside ``other_arguments``: whether nobody has to be asked. It certainly did not happen, or the call
    itself was made beside it."""


class EffectQuery(Contract):
    """Which records to list. Nothing given is all."""

    states: tuple[EffectState, ...] = ()
    namespace: str | None = None
    workflow_id: str | None = None
    tool: str | None = None
    only_open: bool = False
    """Only what has no end yet and no person has closed."""
    ended_before: datetime | None = Field(default=None, exclude_if=is_none)
    """Only what is not open, and was last written before this, by its stamp."""

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        if self.only_open and self.ended_before is not None:
            raise ValueError("what is open has not ended: give only_open or ended_before")
        return self

    @property
    def equal(self) -> dict[str, str | None]:
        """What fields of the record must be; ``None`` is anything."""
        return {"namespace": self.namespace, "workflow_id": self.workflow_id, "tool": self.tool}


class EffectPage(Contract):
    """A part of a listing."""

    effects: tuple[StoredEffect, ...]
    cursor: str | None = None
    """Where the next page starts; ``None`` after the last one. Means something to its own ledger only."""


EffectVerdict = Literal["happened", "did_not_happen", "abort"]
"""What a person says of an effect in doubt. ``abort``: nobody will find out; the record stays unknown."""


class EffectClosing(Contract):
    """A person's word on an effect in doubt."""

    verdict: EffectVerdict
    by: Name
    text: str = Field(default="", max_length=2_000)
    output: Json = None
    """What the tool would have answered, for ``happened``."""
    counts: Sha256 | None = Field(default=None, exclude_if=is_none)
    """For ``happened``: that it was an earlier run's effect, by the key of its record."""


class EffectInquiry(Contract):
    """The argument of ``reconcile_effect`` and ``close_effect``: a call whose activity failed."""

    tool: str
    invocation: ToolInvocation
    closing: EffectClosing | None = None
    """Given to ``close_effect`` only."""
    may_probe: bool = Field(default=True, exclude_if=is_true)
    """Whether the outside system may be asked: not where the budget doesn't cover it."""


def is_nothing_billed(value: object) -> bool:
    """For ``exclude_if``."""
    return value == Billed()


class EffectReport(Contract):
    """What became of a call, by the ledger."""

    state: Literal["done", "failed", "unknown"]
    result: ToolResult | None = None
    """For ``done``, and for ``failed`` if the tool itself refused or a person said so."""
    detail: str = ""
    attempts: int = Field(default=0, ge=0)
    """How many attempts may have called the tool."""
    billed: Billed = Field(default=Billed(), exclude_if=is_nothing_billed)
    """What the activity that found it out has called, or may have."""
