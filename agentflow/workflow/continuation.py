"""A long run goes on in a new execution with a short history: when, what it takes along, how it is taken up.

The conversation stays behind: it is in the blob store, and in the histories of the executions before.
"""

from typing import NoReturn

from pydantic import ValidationError
from pydantic_core import from_json, to_json
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from agentflow.contracts.carried import (
    CarriedOutput,
    CarriedRun,
    CarriedTranscript,
    CarriedTurn,
    HeldCall,
)
from agentflow.contracts.wire import Json
from agentflow.core.answer import describe_errors
from agentflow.core.compaction import Outlined
from agentflow.core.provenance import PastCall
from agentflow.core.record import DecisionLog
from agentflow.core.state_parts import is_split
from agentflow.core.transcript import Transcript
from agentflow.errors import RunDenied
from agentflow.workflow import dispatch, sealing, state_parts
from agentflow.workflow.history_length import HistoryLength, length_here
from agentflow.workflow.pause import pause
from agentflow.workflow.run import Run

MIN_EVENTS = 25
"""An execution with fewer events doesn't continue as new, whatever the limits: each gets something done."""
CHECKPOINTS_UNMEASURED = 10
"""In a row, with nothing but local activities and waits between them, before a timer is set to measure by."""


class CallHeldError(BaseException):
    """Raised through a call that waits for people, in a run that is about to continue as new.

    Not an ``Exception``: nothing that handles failures of a call may take it for one.
    """

    def __init__(self, held: HeldCall) -> None:
        self.held = held


class Continuation:
    """When and how one run goes on in a new execution."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._carried_turn: CarriedTurn | None = None
        self._to_begin = HistoryLength()
        """Of history, with which a long state was taken up: nothing was done with it yet."""
        self.progress: Json = None
        """What the ``checkpoint`` before this execution was given."""

    @property
    def is_due(self) -> bool:
        """Whether the model's loop should let the run go on in a new execution.

        The place in a ``perform`` of the agent's own can't be taken along: there it is ``checkpoint``.
        """
        return self._run.definition.performs_by_default and self._is_long(self._run.calls.history.length)

    @property
    def is_due_here(self) -> bool:
        """Whether it should, for one that waits and may have been signalled much since its last step.

        Not to be asked where a local activity ended before.
        """
        return self._run.definition.performs_by_default and self._is_long(length_here())

    async def checkpoint(self, progress: Json) -> None:
        """Continue as new if the history is long, in a ``perform`` of the agent's own."""
        history = self._run.calls.history
        history.checkpoints += 1
        if history.checkpoints > CHECKPOINTS_UNMEASURED:
            await pause("how long is the history?")
            history.measure()
        if self._is_long(history.length):
            await self.continue_as_new(None, progress)

    def _is_long(self, length: HistoryLength) -> bool:
        if length.events < self._to_begin.events + MIN_EVENTS or self._run.people.are_heard:
            return False
        longest = self._run.definition.max_history_bytes
        return length.is_long or length.bytes > longest + self._to_begin.bytes

    async def continue_as_new(self, turn: CarriedTurn | None, progress: Json = None) -> NoReturn:
        """End this execution, and start the next with all that the run knows.

        Args:
            turn: The state of the model's loop; it is taken up there.
            progress: What ``checkpoint`` was given.
        """
        run = self._run
        await run.calls.outgoing.room_to_end()
        run.people.turn_away("the run continued as new")
        limit = run.manifest.max_payload_bytes
        stored: tuple[Json, Json] | None = None
        while True:
            run.purse = run.purse.closed()
            state = _carry(run, turn, progress).model_dump(mode="json")
            if stored is not None and stored[0] == state and not run.people.are_heard:
                # From here on nothing is awaited: what comes now goes to the next execution.
                payload = _sealed_task(run, stored[1])
                break
            payload = _sealed_task(run, state)
            if payload.ByteSize() <= limit:
                break
            if stored is None:
                # What strangers sent must not end a run.
                run.forget_noise()
                state = _carry(run, turn, progress).model_dump(mode="json")
                payload = _sealed_task(run, state)
                if payload.ByteSize() <= limit:
                    break
            # What people send meanwhile counts, and changes the state.
            run.signals.open()
            longest = run.definition.max_carried_bytes
            by_name = await state_parts.stored(run.calls, state, part_bytes=limit, longest=longest)
            stored = (state, by_name)
        run.show_soon.never()
        run.log.info("continues as new", executions=run.executions + 1, turn=run.turn)
        workflow.continue_as_new(dispatch.sized("what the run takes along", RawValue(payload), limit))

    async def take_up(self) -> bool:
        """Put this execution's run where the one before stood; answer whether there was one.

        Raises:
            RunDenied: the task brings a state that is none of this run's.
        """
        run, task = self._run, self._run.task
        if task.carried is None:
            return False
        # As it was sent: what a type makes of it may be written in another way each time, as a set is.
        given = {name: value for name, value in task.given.items() if name != "seal"}
        if objection := sealing.objection_to_state(given, task.seal):
            # Whoever starts a run could bring approvals, outputs and a budget of their own making.
            raise RunDenied(objection)
        state = task.carried
        try:
            if is_split(state):
                state = await state_parts.loaded(run.calls, state)
                self._to_begin = length_here()
            carried = CarriedRun.model_validate(state)
        except ValidationError as error:
            raise RunDenied(f"this worker can't read the run's state: {describe_errors(error)}") from None
        _take_up(run, carried)
        self._carried_turn, self.progress = carried.carried_turn, carried.progress
        return True

    def carried_turn(self) -> CarriedTurn | None:
        """Where the model's loop stood in the execution before; it is given once."""
        carried, self._carried_turn = self._carried_turn, None
        return carried


def _sealed_task(run: Run, carried: Json) -> Payload:
    """The task that the next execution is started with."""
    # As it was sent: a type that leaves a field out must not take it from the run.
    sent = {name: value for name, value in run.task.given.items() if name != "seal"}
    task = {**sent, "carried": carried}
    payload = workflow.payload_converter().to_payload(task)
    given = from_json(payload.data)
    if (seal := sealing.seal_state(given)) is not None:
        payload.data = to_json({**given, "seal": seal})
    return payload


def _carry(run: Run, turn: CarriedTurn | None, progress: Json) -> CarriedRun:
    """All that a run takes along."""
    transcript = run.transcript
    return CarriedRun(
        started_at=run.started_at,
        executions=run.executions + 1,
        manifest=run.manifest,
        transcript=CarriedTranscript(
            head=transcript.head,
            news=transcript.news,
            outline=tuple((line.kind, line.tokens) for line in transcript.outline),
            measured=run.measured,
        ),
        turn=run.turn,
        call_index=run.call_index,
        approvals=run.people.approvals.count,
        pending=tuple(pending.shown() for pending in run.people.approvals.pending),
        escalations=run.people.escalations.count,
        settled=run.purse.settled,
        possibly_billed_usd=run.purse.possibly_billed_usd,
        models_used=tuple(sorted(run.models_used)),
        past_calls=tuple(
            CarriedOutput(
                call_id=call.call_id, tool=call.tool, arguments=dict(call.arguments), output=call.output
            )
            for call in run.past_calls
        ),
        guidance=run.guidance,
        frozen=run.frozen,
        requester=run.requester,
        revoked=run.people.identities.revoked,
        revoked_delegations=run.people.identities.revoked_delegations,
        notices=run.notices.undelivered,
        works=dict(run.effects.works),
        ledgers=dict(run.effects.ledgers),
        knows_all=run.lineage.knows_all,
        circles=run.circles,
        summaries=run.summaries,
        evidence=run.evidence,
        decisions=run.decision_log.records,
        decisions_dropped=run.decision_log.dropped,
        attributes=run.visibility.told,
        carried_turn=turn,
        progress=progress,
    )


def _take_up(run: Run, carried: CarriedRun) -> None:
    run.continue_from(carried.manifest, carried.attributes)
    run.set_budget()
    run.started_at, run.executions = carried.started_at, carried.executions
    said = carried.transcript
    outline = tuple(Outlined(kind, tokens) for kind, tokens in said.outline)
    run.transcript = Transcript(
        carried.manifest.root, said.head, said.news, outline, sum(line.tokens for line in outline)
    )
    run.measured = said.measured
    run.turn, run.call_index = carried.turn, carried.call_index
    run.people.approvals.take_up(carried.pending, carried.approvals)
    run.people.escalations.count = carried.escalations
    run.purse = run.purse.carried_over(carried.settled, carried.possibly_billed_usd)
    run.models_used = frozenset(carried.models_used)
    for call in carried.past_calls:
        run.remember(PastCall(call.call_id, call.tool, call.arguments, call.output))
    for said in carried.guidance:
        run.heed(said)
    run.frozen, run.circles = carried.frozen, carried.circles
    run.effects.works, run.effects.ledgers = carried.works, carried.ledgers
    run.lineage.take_up(knew_all=carried.knows_all)
    run.people.identities.revoked = carried.revoked
    run.people.identities.revoked_delegations = carried.revoked_delegations
    run.requester = carried.requester
    run.summaries, run.evidence = carried.summaries, carried.evidence
    run.decision_log = DecisionLog(carried.decisions, carried.decisions_dropped)
    run.notices.again(carried.notices, carried.pending)
    run.note("continuation", True, f"execution {carried.executions + 1} goes on after turn {carried.turn}")
