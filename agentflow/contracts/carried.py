"""What a run takes along when it continues as new: all of its state but the conversation."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.budget import Spend
from agentflow.contracts.ledger import LedgerPin
from agentflow.contracts.loops import Circles
from agentflow.contracts.manifest import Manifest
from agentflow.contracts.messages import Entry, ToolCall
from agentflow.contracts.notice import PendingNotice
from agentflow.contracts.outcome import Evidence, ToolCallSummary
from agentflow.contracts.requester import Requester
from agentflow.contracts.rules import Decision, DecisionRecord
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import ApprovalId, Contract, Json, Sha256, Usd, is_empty, is_false, is_none


class StatePart(Contract):
    """A part of a long state: of its JSON as text. The blob store has it from one execution to the next."""

    name: Sha256
    """Hash of the text in UTF-8."""
    text: str


class StatePartWanted(Contract):
    """Asks for a part of a state."""

    name: Sha256


class CarriedOutput(Contract):
    """A tool call that was carried out, for rules and citations."""

    call_id: str
    tool: str
    arguments: dict[str, Json]
    output: Json = None


class HeldCall(Contract):
    """One of the last turn's calls: not begun, waiting for people, or ended and not yet told to the model."""

    call: ToolCall
    result: ToolResult | None = Field(default=None, exclude_if=is_none)
    """What it came to, if it has ended."""
    approval_id: ApprovalId | None = Field(default=None, exclude_if=is_none)
    """What it waits for, if it waits."""
    index: int | None = Field(default=None, exclude_if=is_none)
    """Its call index, once it has one: the ledger key is made of it."""
    decision: Decision | None = Field(default=None, exclude_if=is_none)
    """What the rules said of it, if they asked."""


class CarriedTurn(Contract):
    """Where the request to the model stands."""

    calls: tuple[HeldCall, ...] = ()
    """The last answer's calls that the model has not been told of."""
    told: tuple[ToolResult, ...] = ()
    """What its other calls came to, without the outputs."""
    fault: str | None = None
    faults: int = 0
    refusals: int = 0
    refused: str = ""


class CarriedTranscript(Contract):
    """Where the conversation stands: its names and sizes."""

    head: Sha256 | None
    news: tuple[Entry, ...] = ()
    """Said since the head."""
    outline: tuple[tuple[Literal["user", "assistant", "tool"], int], ...] = ()
    """Kind and greatest number of tokens of each message that the model sees."""
    measured: tuple[int, int] | None = None
    """Input tokens of the last call as the provider counted them, and the bound that was put on them."""


class CarriedRun(Contract):
    """The state of a run. Only a run's own continuation may bring it: a started run that does is denied."""

    started_at: datetime
    """When its first execution began."""
    manifest: Manifest
    executions: int = Field(ge=1)
    """How many have been before."""
    transcript: CarriedTranscript
    turn: int
    call_index: int
    """Of the last tool call: the ledger keys go on from there."""
    approvals: int
    """How many there have been."""
    pending: tuple[ApprovalRequest, ...] = ()
    """Those that people have not decided yet, with who agreed so far."""
    escalations: int
    settled: Spend
    possibly_billed_usd: Usd
    models_used: tuple[str, ...] = ()
    past_calls: tuple[CarriedOutput, ...] = ()
    guidance: tuple[Json, ...] = Field(default=(), exclude_if=is_empty)
    """What people said who took over: it may be taken at its word."""
    frozen: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The freezes that it has heard of."""
    requester: Requester | None = Field(default=None, exclude_if=is_none)
    """Who asked for it, as the first execution verified it."""
    revoked: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Keys of approvers that the run has heard are not to be believed."""
    revoked_delegations: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Delegations that the run has heard are not to be believed."""
    notices: tuple[PendingNotice, ...] = Field(default=(), exclude_if=is_empty)
    """What people were not told of yet."""
    works: dict[Sha256, tuple[Sha256, ...]] = Field(
        default_factory=dict[Sha256, tuple[Sha256, ...]], exclude_if=is_empty
    )
    """By what writes do (``core.idempotency.same_work``): the ledger keys that the run knows of."""
    ledgers: dict[str, LedgerPin] = Field(default_factory=dict[str, LedgerPin], exclude_if=is_empty)
    """By task queue, the run's own being the empty name: where its writes are recorded."""
    knows_all: bool = Field(default=False, exclude_if=is_false)
    """Whether no execution before did anything that is not here: none of them was a retry, or reset."""
    circles: Circles = Circles()
    summaries: tuple[ToolCallSummary, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    decisions: tuple[DecisionRecord, ...] = ()
    decisions_dropped: int = 0
    attributes: dict[str, Json] = Field(default_factory=dict[str, Json])
    """Search attributes as they are."""
    carried_turn: CarriedTurn | None = None
    """Of an agent whose ``perform`` is the default."""
    progress: Json = None
    """What ``checkpoint`` was given."""
