"""Activities are sent what is sealed, and an answer that no worker sealed for the very call is a failure."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityCancellationType

from agentflow.contracts.names import FUNDS_METADATA, SEAL_REFUSED_ERROR
from agentflow.contracts.wire import Json, sha256_of
from agentflow.workflow.history_length import MeasuredHistory
from agentflow.workflow.outgoing import Outgoing
from agentflow.workflow.sealing import is_answer_genuine, is_failure_genuine, seal_argument

AnswerT = TypeVar("AnswerT")


class CallNames:
    """Names for the calls of one execution: nothing else that is ever asked has the name of a call.

    A name is made of the question, of how often it was asked before, of the execution as it began, which a
    reset keeps, and of its random seed, which a reset changes from its point on. So an activity that a reset
    takes along is answered under the name that its run comes to again, and an answer of before the reset
    answers nothing that is asked after it. Where in history a call is made is no part of it: after a local
    activity that is another place in a replay (ADR 42).
    """

    def __init__(self, outgoing: Outgoing, funds: Callable[[], str] = lambda: "") -> None:
        """Begin.

        Args:
            outgoing: Counts what the execution sends.
            funds: Says what is settled and reserved, for what may cost something.
        """
        self.outgoing = outgoing
        self.funds = funds
        self.history: MeasuredHistory = MeasuredHistory()
        self.local_since_answer: bool = False
        """Whether a local activity was called since a model last answered. After one, a replay may be at
        another place in history than the run was, where the marker of a patch isn't seen yet (ADR 42, 54)."""
        self._asked: Counter[str] = Counter()

    def name(self, kind: str, *asked: Json) -> str:
        """Name the next call.

        Args:
            kind: Of call, for people.
            asked: The question, as JSON that stays the same from one version to the next.
        """
        question = sha256_of([kind, *asked])
        self._asked[question] += 1
        execution = [workflow.info().original_execution_run_id, str(workflow.random_seed())]
        return f"{kind}-{sha256_of([question, self._asked[question], *execution])[:16]}"


ELSEWHERE = "elsewhere-"
"""How the ids of activities begin that any worker of their queue is to have a chance of. Others are handed at
once to the worker that has the run, as long as it has room: it would refuse again what it has refused."""
_IN_THE_WORKER = timedelta(days=36_500)
"""The argument of a local activity never leaves its worker. The run's clock stands at when the call was first
made: where that worker died, the next one makes the call any time later."""


_SEAL_BYTES = 2_048
"""Of a command, beside its argument: the seal, names, time-outs and the summary."""
SHORT_ANSWER = 8 * 1024
"""Bytes of the answer of a local activity that the library itself brings."""


def as_sent(value: object) -> RawValue:
    """A value as the payload that an activity is sent: of a size that is bounded otherwise."""
    return RawValue(workflow.payload_converter().to_payload(value))


def patient() -> RetryPolicy:
    """For activities that wait for what may be away for some minutes: a ledger, a worker, a history."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20), maximum_attempts=10
    )


@dataclass(frozen=True)
class Call(Generic[AnswerT]):
    """One call of an activity."""

    activity: str
    """The activity type."""
    name: str
    """Names the call within the run."""
    argument: RawValue
    """What the activity is sent."""
    answer_type: type[AnswerT]
    """What it answers."""
    retry_policy: RetryPolicy
    """How often it may be tried, which is sealed as well."""

    funds: str = ""
    """What is settled and reserved when it is made."""

    @property
    def size(self) -> int:
        """Of its command, in bytes."""
        return self.argument.payload.ByteSize() + _SEAL_BYTES

    def sealed(self, lifetime: timedelta | None) -> RawValue:
        """The argument under its seal."""
        payload, attempts = self.argument.payload, self.retry_policy.maximum_attempts
        if self.funds:
            payload.metadata[FUNDS_METADATA] = self.funds.encode()
        return RawValue(
            seal_argument(self.activity, self.name, payload, attempts=attempts, lifetime=lifetime)
        )


async def execute(calls: CallNames, call: Call[AnswerT], **options: Any) -> AnswerT:
    """Run an activity on a sealed argument, and believe a sealed answer only.

    Args:
        calls: Of the execution.
        call: The activity, and what it is asked.
        **options: Of ``workflow.execute_activity``.

    Raises:
        ActivityError: it failed, or somebody else answered in a worker's place.
    """
    activity = call.activity
    mark = await calls.outgoing.room_for(call.size)
    try:
        answer: RawValue = await workflow.execute_activity(
            activity,
            call.sealed(options.get("schedule_to_close_timeout")),
            result_type=RawValue,
            retry_policy=call.retry_policy,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            **options,
        )
    except ActivityError as error:
        cause = error.cause
        if not isinstance(cause, ApplicationError) or is_failure_genuine(activity, call.name, cause):
            raise
        # Nor is what it says passed on: people and the model would read a stranger's words.
        said = f"no worker of this fleet sealed the failure of {activity}: {_by_whom(cause)}"
        raise _not_genuine(activity, said)  # noqa: B904 - its cause is what is said
    finally:
        calls.outgoing.have_left(mark)
    if not is_answer_genuine(activity, call.name, answer):
        said = f"no worker of this fleet sealed the answer of {activity}: somebody else completed it"
        raise _not_genuine(activity, said)
    return workflow.payload_converter().from_payload(answer.payload, call.answer_type)


async def execute_locally(
    calls: CallNames, call: Call[AnswerT], longest: int = SHORT_ANSWER, **options: Any
) -> AnswerT:
    """Run a local activity on a sealed argument. The worker itself writes its answer into history.

    Args:
        calls: Of the execution.
        call: The activity, and what it is asked.
        longest: The answer may be so many bytes.
        **options: Of ``workflow.execute_local_activity``.

    Raises:
        ApplicationError: it failed.
        TimeoutError: it took too long.
        CancelledError: the run was cancelled.
    """
    calls.local_since_answer = True
    await calls.outgoing.expect(longest)
    size = 0
    try:
        answer: RawValue = await workflow.execute_local_activity(
            call.activity,
            call.sealed(_IN_THE_WORKER),
            result_type=RawValue,
            retry_policy=call.retry_policy,
            **options,
        )
        size = answer.payload.ByteSize()
    finally:
        calls.outgoing.came(longest, size)
    return workflow.payload_converter().from_payload(answer.payload, call.answer_type)


def _by_whom(failure: ApplicationError) -> str:
    if failure.type == SEAL_REFUSED_ERROR:
        return "a worker refused what the run asked, or somebody says so (its log, and history, say why)"
    return "somebody else answered for it"


def _not_genuine(activity: str, said: str) -> ActivityError:
    error = activity_error(f"activity {activity} has no genuine answer", activity)
    error.__cause__ = ApplicationError(said, type=SEAL_REFUSED_ERROR, non_retryable=True)
    return error


def activity_error(message: str, activity: str) -> ActivityError:
    """A failure that Temporal has no event of, in the form of those that it has."""
    return ActivityError(
        message,
        scheduled_event_id=0,
        started_event_id=0,
        identity="",
        activity_type=activity,
        activity_id="",
        retry_state=None,
    )
