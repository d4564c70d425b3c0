"""What a run has spent, by its histories alone, however it ended or whether it goes on.

An outcome says it, and so does the failure of a run with a bug. Of a run that was terminated, or that the
server ended, nothing says it at the end: then it is what the run had settled when it last scheduled what may
cost something, what it was told since, and all that was reserved for what it never heard of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import ContinueAsNewInitiator, EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from agentflow.adapters.history.executions import Execution, Histories
from agentflow.adapters.history.finding import document
from agentflow.adapters.history.manifests import manifest_in
from agentflow.adapters.history.payloads import Payloads, UnreadableError
from agentflow.contracts import names
from agentflow.contracts.model import HEAD_DIGITS, Brief, ChatRequest, ChatResponse
from agentflow.contracts.wire import Json
from agentflow.core.usage import Answered

_NONE = Decimal(0)
_BY_RETRY = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY
_ENDS = {
    "activity_task_completed_event_attributes",
    "activity_task_failed_event_attributes",
    "activity_task_timed_out_event_attributes",
    "activity_task_canceled_event_attributes",
}


@dataclass(frozen=True)
class Spent:
    """Dollars."""

    cost_usd: Decimal = _NONE
    """All that is settled, and all that was called and may be billed."""
    possibly_billed_usd: Decimal = _NONE
    """The part of it that was reserved for calls whose end the run never heard of."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.cost_usd + other.cost_usd, self.possibly_billed_usd + other.possibly_billed_usd)

    def beyond(self, before: "Spent") -> "Spent":
        """What was spent after an earlier point."""
        return Spent(
            max(self.cost_usd - before.cost_usd, _NONE),
            max(self.possibly_billed_usd - before.possibly_billed_usd, _NONE),
        )


async def spent_by(
    client: Client, workflow_id: str, run_id: str | None = None, histories: Histories | None = None
) -> Spent:
    """What a run has spent: of all its executions, and of those that a reset has put an end to.

    Args:
        client: With the data converter that the run's payloads need.
        workflow_id: The run's.
        run_id: Of its last execution, where another run has taken the workflow id since.
        histories: What looks before this one have read.

    Raises:
        temporalio.service.RPCError: there is no such run, or the server can't be reached.
    """
    histories = histories or Histories(client)
    executions = await histories.of(workflow_id, run_id)
    seen = {execution.run_id for execution in executions}
    spent = await spent_in(client.data_converter, executions)
    return spent + await _before_resets(client, workflow_id, executions, histories, seen)


async def share_of(client: Client, workflow_id: str, run_id: str) -> Spent:
    """What one of a list of runs has spent itself: after ``share_begins``.

    What is before that is the share of another one, which is in the list as well.

    Raises:
        temporalio.service.RPCError: there is no such run, or the server can't be reached.
    """
    executions = await Histories(client).of(workflow_id, run_id)
    whole = await spent_in(client.data_converter, executions)
    begins = share_begins(executions)
    return whole.beyond(await _spent_by_then(client.data_converter, executions, begins)) if begins else whole


def share_begins(executions: Sequence[Execution]) -> tuple[str, int] | None:
    """The execution and the event of it from which on a run is one of its own in a list of runs.

    It is a reset's point, or the begin of what Temporal tries again; ``None`` is from the beginning.
    """
    return next(
        (
            (execution.run_id, event.event_id)
            for execution in reversed(executions)
            for event in reversed(execution.history.events if execution.history else ())
            if event.workflow_task_failed_event_attributes.new_run_id
            or event.workflow_execution_started_event_attributes.initiator == _BY_RETRY
        ),
        None,
    )


async def spent_in(converter: DataConverter, executions: Sequence[Execution]) -> Spent:
    """What a chain of executions has spent, as far as their histories are there.

    Args:
        converter: That the run's payloads need.
        executions: The first one first.
    """
    reading = _Reading(converter)
    for _, event in _events(executions):
        await reading.take(event)
    return reading.spent


async def spent_at_most(converter: DataConverter, executions: Sequence[Execution]) -> Spent:
    """The same as ``spent_in``, for a budget.

    Raises:
        UnreadableError: more may have been spent, as something can't be decoded.
    """
    reading = _Reading(converter)
    for _, event in _events(executions):
        await reading.take(event)
    if reading.unread is not None:
        raise reading.unread
    return reading.spent


def said_before(manifest: Json) -> Spent | None:
    """Spending of the tries before one, as its manifest has it; ``None`` if it doesn't say."""
    said = document(document(manifest).get("spent_before"))
    cost, possibly = _dollars(said.get("cost_usd")), _dollars(said.get("possibly_billed_usd", "0"))
    return None if cost is None or possibly is None or said.get("problem") else Spent(cost, possibly)


async def _spent_by_then(
    converter: DataConverter, executions: Sequence[Execution], point: tuple[str, int]
) -> Spent:
    """What a chain had spent before an event, no more than that: it is taken from what was spent in all.

    A call that had ended counts as what the run settled once it heard of it. One under way counts after the
    point: a reset begins it anew. Of tries that Temporal made before all counts.
    """
    reading, least = _Reading(converter), None
    for run_id, event in _events(executions):
        which = event.WhichOneof("attributes")
        if (run_id, event.event_id) == point:
            if which == "workflow_execution_started_event_attributes":
                return reading.spent
            least = reading.heard
        elif least is not None and which in _ENDS:
            # What the run settles next is of calls after the point as well.
            return least
        said = reading.times_said
        await reading.take(event)
        if least is not None and reading.times_said > said:
            return Spent(reading.before.cost_usd + reading.settled)
    return least or Spent()


def _events(executions: Sequence[Execution]) -> Iterator[tuple[str, HistoryEvent]]:
    for execution in executions:
        for event in execution.history.events if execution.history else ():
            yield execution.run_id, event


async def _before_resets(
    client: Client, workflow_id: str, executions: Sequence[Execution], histories: Histories, seen: set[str]
) -> Spent:
    """What executions spent after the point to which they were reset."""
    spent = Spent()
    for execution in executions:
        for event in execution.history.events if execution.history else ():
            reset = event.workflow_task_failed_event_attributes
            base = reset.base_run_id
            if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED or not reset.new_run_id:
                continue
            if not base or base in seen:
                continue
            seen.add(base)
            chain = await histories.of(workflow_id, base)
            whole = await spent_in(client.data_converter, chain)
            shared = await _spent_by_then(client.data_converter, chain, (base, event.event_id))
            spent += whole.beyond(shared)
            spent += await _before_resets(client, workflow_id, chain, histories, seen)
    return spent


@dataclass(frozen=True)
class _Call:
    """An activity that may cost something."""

    kind: str
    brief: Brief | None = None
    """Of a model call, if it is known."""
    prompt_bytes: int = 0


@dataclass
class _Reading:
    """What is known so far."""

    converter: DataConverter
    before: Spent = Spent()
    """Of tries before this one, as far as this one does not say it is settled: from its manifest on, the
    dollars are."""
    begun_with: Decimal = _NONE
    """Dollars of tries before, which this one has settled as well: lists are told of the others only."""
    awaits_manifest: bool = False
    """Whether a try has begun, and nobody has told it yet of those before."""
    has_begun: bool = False
    unread: UnreadableError | None = None
    """Why more may have been spent than is known."""
    times_said: int = 0
    """How often the run has said what is settled."""
    settled: Decimal = _NONE
    """As the run said last."""
    reserved: Decimal = _NONE
    """As the run said last."""
    told: Decimal = _NONE
    """Of answers that the run has heard since."""
    is_unsure: bool = False
    """Whether it has heard since of what nobody can put a price on from here."""
    briefs: dict[str, Brief] = field(default_factory=dict[str, Brief])
    """By name."""
    answered_with: dict[str, Brief | None] = field(default_factory=dict[str, Brief | None])
    """By the head of the conversation after the answer."""
    under_way: dict[int, _Call] = field(default_factory=dict[int, _Call])
    """Activities that may cost something and have not ended, by the event that scheduled them."""
    unheard: list[tuple[int, Decimal | None]] = field(default_factory=list[tuple[int, Decimal | None]])
    """Those that have ended, while the run has not gone on: the event, and what it cost if that is known."""

    def __post_init__(self) -> None:
        self._payloads = Payloads(self.converter)

    @property
    def heard(self) -> Spent:
        """What is certain."""
        return Spent(self.before.cost_usd + self.settled + self._known)

    @property
    def _known(self) -> Decimal:
        return self.told + sum((cost for _, cost in self.unheard if cost is not None), _NONE)

    @property
    def spent(self) -> Spent:
        """With what may have been billed of calls that the run has not settled."""
        known = self._known
        unsure = self.is_unsure or self.under_way or any(cost is None for _, cost in self.unheard)
        possibly = max(self.reserved - known, _NONE) if unsure else _NONE
        return self.before + Spent(self.settled + known + possibly, possibly)

    def said(self, settled: Decimal, reserved: Decimal | None = None) -> None:
        """The run says what is settled, of all that it has heard of."""
        self.settled, self.told, self.is_unsure = settled, _NONE, False
        self.times_said += 1
        if reserved is not None:
            self.reserved = reserved

    def ended(self, settled: Decimal) -> None:
        """The run is over, and said what it has settled."""
        self.said(settled, _NONE)
        self.under_way, self.unheard = {}, []

    async def take(self, event: HistoryEvent) -> None:
        """Read the next event."""
        which = str(event.WhichOneof("attributes"))
        attributes = getattr(event, which)
        match which:
            case "workflow_execution_started_event_attributes":
                await self._started(attributes)
            case "marker_recorded_event_attributes" if self.awaits_manifest:
                await self._marker(attributes)
            case "activity_task_scheduled_event_attributes":
                await self._scheduled(event.event_id, attributes)
            case _ if which in _ENDS:
                await self._activity_ended(event.event_id, which, attributes)
            case "workflow_task_completed_event_attributes":
                self._went_on(attributes.started_event_id)
            case "upsert_workflow_search_attributes_event_attributes":
                self._listed(attributes.search_attributes.indexed_fields)
            case "workflow_execution_completed_event_attributes":
                self._over(document(await self._value(attributes.result.payloads)).get("cost_usd"))
            case "workflow_execution_failed_event_attributes":
                details = attributes.failure.application_failure_info.details.payloads
                self._over(document(await self._value(details)).get(names.SETTLED_USD))
            case _:
                pass

    async def _started(self, attributes: Any) -> None:
        given = await self._value(attributes.input.payloads, is_needed=True)
        carried = document(document(given).get("carried"))
        known = said_before(carried.get("manifest"))
        if known is not None and not self.has_begun:
            self.before = Spent(possibly_billed_usd=known.possibly_billed_usd)
        self.has_begun = True
        settled = _dollars(document(carried.get("settled")).get("cost_usd", "0"))
        whole = self.spent
        # A new execution has nothing under way.
        self.under_way, self.unheard = {}, []
        if settled is not None and (carried or attributes.initiator == _BY_RETRY):
            self.said(settled, _NONE)
        if attributes.initiator == _BY_RETRY:
            # It begins with what the one that is tried again began with.
            self.before = Spent(max(whole.cost_usd - self.settled, _NONE), whole.possibly_billed_usd)
        self.awaits_manifest = attributes.initiator == _BY_RETRY
        if carried or self.awaits_manifest:
            self.begun_with = known.cost_usd if known else _NONE

    async def _marker(self, marker: Any) -> None:
        try:
            manifest = await manifest_in(marker, self._payloads)
        except UnreadableError as error:
            self.unread = error
            return
        if manifest is None:
            return
        self.awaits_manifest = False
        if (before := said_before(manifest)) is not None:
            self.said(max(self.settled, before.cost_usd))
            self.begun_with = before.cost_usd
            self.before = Spent(possibly_billed_usd=before.possibly_billed_usd)

    async def _scheduled(self, event: int, attributes: Any) -> None:
        payload = await self._payload(attributes.input.payloads)
        funds = payload.metadata.get(names.FUNDS_METADATA, b"").decode(errors="replace").split()
        if len(funds) not in (2, 3):
            return
        settled, reserved = map(_dollars, funds[:2])
        if settled is None or reserved is None:
            return
        self.said(settled, reserved)
        call = _Call(attributes.activity_type.name)
        if call.kind == names.CHAT_ACTIVITY:
            length = funds[2] if len(funds) == 3 and funds[2].isdecimal() else "0"
            call = replace(call, brief=self._brief(await self._value([payload])), prompt_bytes=int(length))
        self.under_way[event] = call

    def _brief(self, given: Json) -> Brief | None:
        """The brief of a model call: its own, or the one that its conversation was answered with so far."""
        try:
            request = ChatRequest.model_validate(given)
        except ValueError:
            return None
        if request.brief is None:
            return self.answered_with.get((request.parent or "")[:HEAD_DIGITS])
        if request.brief_in_full:
            self.briefs[request.brief] = request.brief_in_full
        return self.briefs.get(request.brief)

    async def _activity_ended(self, event: int, which: str, attributes: Any) -> None:
        call = self.under_way.pop(attributes.scheduled_event_id, None)
        if call is None:
            return
        cost: Decimal | None = None
        is_answer = which == "activity_task_completed_event_attributes"
        if is_answer and call.brief is not None:
            try:
                answer = ChatResponse.model_validate(await self._value(attributes.result.payloads))
            except ValueError:
                answer = None
            if answer is not None:
                self.answered_with[answer.head[:HEAD_DIGITS]] = call.brief
            # Attempts before the one that answered may have been billed.
            if answer is not None and answer.attempt == 1:
                answered = Answered.by(call.brief.model, answer, call.prompt_bytes)
                # What can't be is charged at the worst case, which is what was reserved.
                cost = None if answered.doubts else answered.reported_usd
        self.unheard.append((event, cost))

    def _went_on(self, started: int) -> None:
        """The run has heard of all that had ended when its workflow task began."""
        heard = [cost for event, cost in self.unheard if event < started]
        self.unheard = [one for one in self.unheard if one[0] >= started]
        self.told += sum((cost for cost in heard if cost is not None), _NONE)
        self.is_unsure = self.is_unsure or any(cost is None for cost in heard)

    def _listed(self, fields: Any) -> None:
        if names.AGENT_COST_USD in fields:
            settled = _dollars(fields[names.AGENT_COST_USD].data.decode(errors="replace"))
            if settled is not None:
                self.said(self.begun_with + settled)

    def _over(self, settled: Json) -> None:
        if (dollars := _dollars(settled)) is not None:
            self.ended(dollars)

    async def _value(self, payloads: Sequence[Payload], *, is_needed: bool = False) -> Json:
        try:
            return await self._payloads.value(payloads)
        except UnreadableError as error:
            if is_needed:
                self.unread = error
            return None

    async def _payload(self, payloads: Sequence[Payload]) -> Payload:
        """The first payload as the run made it, without codec and external storage."""
        if not payloads:
            return Payload()
        if names.FUNDS_METADATA in payloads[0].metadata:
            return payloads[0]
        try:
            raw: list[RawValue] = await self.converter.decode(payloads[:1], [RawValue])
        except Exception as error:
            self.unread = UnreadableError("unreadable_payload", error)
            return Payload()
        return raw[0].payload


def _dollars(text: Json) -> Decimal | None:
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None
