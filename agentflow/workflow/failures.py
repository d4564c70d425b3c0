"""Why an activity did not succeed, as its failure says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType

from agentflow.contracts.effects import EarlierEffect
from agentflow.contracts.names import (
    BILLED,
    BUSY_SECONDS,
    CALLS,
    EARLIER_EFFECT_ERROR,
    EFFECT_BUSY_ERROR,
    FORBIDDEN_NOW_ERROR,
    NOT_BEGUN,
    ON_RECORD,
    UNBILLED,
)
from agentflow.contracts.tools import Billed

_LONGEST_WAIT = timedelta(days=30)
_SILENCE = (TimeoutType.HEARTBEAT, TimeoutType.START_TO_CLOSE)
"""What times out when a worker dies within an attempt."""
_NOTHING_DONE = (EARLIER_EFFECT_ERROR, FORBIDDEN_NOW_ERROR)
"""Types of failures of attempts that did nothing."""


@dataclass(frozen=True)
class Failure:
    """Why an activity did not succeed, after Temporal's retries."""

    kind: str
    """Type of the application error, or the class of another failure."""
    message: str
    attempts: int | None
    """Attempts made, if the failure says so."""
    retryable: bool
    """False when the error said that trying again is of no use."""
    earlier: EarlierEffect | None = None
    """What an earlier run of the workflow id did, if that is why."""
    wait: timedelta | None = None
    """How long an earlier attempt may still have its effect, if that is why."""
    calls: int | None = None
    """Of a write in doubt: how many attempts may have called the tool, if the ledger told."""
    worker_died: bool = False
    """Whether an attempt began and nothing was heard of it any more: its worker died, or hangs."""
    not_begun: bool = False
    """Whether the last attempt did nothing, and found no trace of another."""
    is_on_record: bool = False
    """Beside ``not_begun``: whether the ledger says so. Then Temporal has tried again as long as it helps."""
    may_have_begun: bool = False
    """Whether an attempt may have begun what it was asked, so that the ledger must have a record of it."""
    unbilled: bool = False
    """Of a model call: whether its last attempt was certainly not billed, as it says itself."""
    billed: Billed | None = None
    """What its attempts have called, or may have; ``None`` if nobody can say."""

    def billable(self, reserved: int) -> int:
        """How many attempts of a model call may have been billed.

        Of the attempts before the last one nobody says what became of them. What says nothing, or is no
        failure of an attempt, may have been any of them.

        Args:
            reserved: How many the budget covers.
        """
        if not self.may_have_begun:
            return 0
        if self.attempts is None:
            return reserved
        return min(self.attempts, reserved) - (1 if self.unbilled and self.attempts <= reserved else 0)


def failure_of(error: ActivityError) -> Failure:
    """What an activity's failure says."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        first: object = cause.details[0] if cause.details else None
        facts: Mapping[str, object] = cast(Any, first) if isinstance(first, Mapping) else {}
        known = _count_in(facts, "attempt")
        earlier = _earlier_in(facts) if cause.type == EARLIER_EFFECT_ERROR else None
        wait = _wait_in(facts) if cause.type == EFFECT_BUSY_ERROR else None
        not_begun = facts.get(NOT_BEGUN) is True
        # Of attempts before this one too.
        none_begun = not_begun and facts.get(ON_RECORD) is True
        did_nothing = not_begun or wait is not None or cause.type in _NOTHING_DONE
        return Failure(
            cause.type or "ApplicationError",
            cause.message,
            known,
            not cause.non_retryable,
            earlier,
            wait,
            calls=_count_in(facts, CALLS),
            not_begun=not_begun,
            is_on_record=none_begun,
            may_have_begun=not did_nothing or ((known or 0) > 1 and not none_begun),
            unbilled=facts.get(UNBILLED) is True,
            billed=_billed_in(facts, known if not_begun else None),
        )
    name = type(cause).__name__ if cause else "ActivityError"
    is_timeout = isinstance(cause, TimeoutError)
    died = is_timeout and cause.type in _SILENCE
    # One that no worker ever had has no attempt that failed before. Of a cancelled one nobody says that.
    is_untouched = is_timeout and not died and cause.cause is None
    began = error.started_event_id > 0 or not is_untouched
    billed = None if began else Billed()
    return Failure(
        name, str(cause or error), None, True, worker_died=died, may_have_begun=began, billed=billed
    )


def _billed_in(facts: Mapping[str, object], attempt: int | None) -> Billed | None:
    """What was called; a worker without the tool says only at which attempt it did nothing."""
    if BILLED not in facts:
        return None if attempt is None else Billed(before=max(attempt - 1, 0))
    try:
        return Billed.model_validate(facts[BILLED])
    except ValueError:
        return None


def _earlier_in(facts: Mapping[str, object]) -> EarlierEffect | None:
    try:
        return EarlierEffect.model_validate(facts["earlier"])
    except (KeyError, ValueError):
        return None


def _count_in(facts: Mapping[str, object], name: str) -> int | None:
    count = facts.get(name)
    return count if isinstance(count, int) and count >= 0 else None


def _wait_in(facts: Mapping[str, object]) -> timedelta | None:
    seconds = facts.get(BUSY_SECONDS)
    if not isinstance(seconds, int | float) or not 0 <= seconds < _LONGEST_WAIT.total_seconds():
        return None
    return timedelta(seconds=seconds)
