"""What is known of a run while its events are read, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from temporalio.api.common.v1 import Payload

from agentflow.adapters.history.finding import Finding
from agentflow.adapters.history.payloads import Payloads, UnreadableError
from agentflow.adapters.history.requester import Begun
from agentflow.contracts.audit import GapKind
from agentflow.contracts.manifest import Manifest
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.model import Brief
from agentflow.contracts.tags import ToldValues
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.idempotency import run_fingerprint


@dataclass(frozen=True)
class Output:
    """What a tool answered, and where that is recorded."""

    tool: str
    value: Json
    execution: str
    event: int


@dataclass(frozen=True)
class Place:
    """Of an event."""

    execution: str
    event: int
    at: datetime


@dataclass
class Story:
    """A run, as far as it was read."""

    payloads: Payloads
    workflow_id: str
    workflow_type: str = ""
    first_run_id: str = ""
    begun: Begun | None = None
    """What it was started with."""
    findings: list[Finding] = field(default_factory=list[Finding])
    is_open: bool = True
    is_agent: bool = False
    """Whether it is a run of an agent of ours: it has a manifest."""
    manifest: Manifest | None = None
    answered_with: dict[str, Sha256] = field(default_factory=dict[str, Sha256])
    """Names of briefs, by the head of the conversation after an answer."""
    briefs: dict[Sha256, Brief] = field(default_factory=dict[Sha256, Brief])
    calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])
    """What models asked for, by id."""
    outputs: dict[str, list[Output]] = field(default_factory=dict[str, list[Output]])
    """By the call's id. Some models name calls of different turns the same."""
    by_call: dict[str, list[Finding]] = field(default_factory=dict[str, list[Finding]])
    """Where tool calls of an id are told of, in their order."""
    carried_out: set[str] = field(default_factory=set[str])
    """Ids of calls that were carried out since the model's last answer."""
    told: dict[str, str] = field(default_factory=dict[str, str])
    """Values that are personal or secret, as far as activities were told of them."""
    told_all: bool = True
    """Whether there are no more than those."""
    revoked: list[str] = field(default_factory=list[str])
    """Keys of approvers that are not to be believed any more."""
    revoked_delegations: list[str] = field(default_factory=list[str])
    """Delegations that are not, by their ``jti``."""
    cost_usd: Decimal = Decimal(0)
    """Of the answers that were read."""

    @property
    def fingerprint(self) -> Sha256 | None:
        """Names the run in what people signed."""
        return run_fingerprint(self.manifest.root, self.manifest.chain) if self.manifest else None

    def add(self, finding: Finding) -> Finding:
        """Append."""
        self.findings.append(finding)
        return finding

    def gap(self, what: GapKind, place: Place, **facts: Json) -> None:
        """Say that something is missing."""
        self.add(Finding.gap(what, place.at, place.execution, place.event, **facts))

    def add_call(self, name: str, finding: Finding) -> None:
        """A tool call is told of by a finding."""
        self.by_call.setdefault(name, []).append(finding)

    def add_output(self, name: str, output: Output) -> None:
        """A tool answered a call."""
        self.outputs.setdefault(name, []).append(output)

    async def value(self, payloads: Sequence[Payload], place: Place, of: str) -> Json:
        """The first value; ``None`` with a gap where it can't be read.

        Args:
            payloads: Of the event.
            place: The event's.
            of: What it is, for the gap.
        """
        try:
            return await self.payloads.value(payloads)
        except UnreadableError as error:
            self.gap(error.gap, place, of=of)
            return None

    def know(self, told: ToldValues | None) -> None:
        """Values that were marked personal or secret."""
        if told is not None:
            self.told |= told.kinds
            self.told_all = self.told_all and not told.is_full
