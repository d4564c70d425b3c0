"""How errors reach Temporal: what is retried, after how long, and what is not."""

from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agentflow.contracts.names import (
    BILLED,
    BUSY_SECONDS,
    CALLS,
    EARLIER_EFFECT_ERROR,
    EFFECT_BUSY_ERROR,
    EFFECT_UNKNOWN_ERROR,
    FORBIDDEN_NOW_ERROR,
    GUARD_REFUSED_ERROR,
    NOT_BEGUN,
    ON_RECORD,
    SEAL_REFUSED_ERROR,
    UNBILLED,
)
from agentflow.contracts.tools import Billed
from agentflow.core.urls import without_urls
from agentflow.errors import (
    AgentflowError,
    BlobMissingError,
    ConfigurationError,
    EarlierEffectError,
    EffectBusyError,
    EffectConflictError,
    EffectUnknownError,
    ForbiddenNowError,
    GuardRefusedError,
    ModelRejectedError,
    ModelUnavailableError,
    NoticeRefusedError,
    OutsideError,
    SealRefusedError,
    SourceChangedError,
    ToolUnavailableError,
)


class NotBegunError(AgentflowError):
    """An attempt did nothing, and nor did any before it."""

    def __init__(self, cause: Exception, *, is_on_record: bool) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.is_on_record = is_on_record
        """Whether the ledger says so: then Temporal may try again. Else the run asks anew."""


MAX_RETRY_AFTER = timedelta(minutes=15)
"""What asks for a longer wait is asked again all the same: a person may be waiting."""
MAX_MESSAGE = 2_000
"""Characters of an error's text that go into history."""


_KINDS: dict[type[Exception], str] = {
    ModelUnavailableError: "ModelUnavailable",
    ModelRejectedError: "ModelRejected",
    BlobMissingError: "TranscriptMissing",
    EarlierEffectError: EARLIER_EFFECT_ERROR,
    EffectBusyError: EFFECT_BUSY_ERROR,
    EffectUnknownError: EFFECT_UNKNOWN_ERROR,
    ForbiddenNowError: FORBIDDEN_NOW_ERROR,
    GuardRefusedError: GUARD_REFUSED_ERROR,
    SealRefusedError: SEAL_REFUSED_ERROR,
}
_FINAL = (
    ModelRejectedError,
    GuardRefusedError,
    BlobMissingError,
    EffectUnknownError,
    EffectConflictError,
    EarlierEffectError,
    ForbiddenNowError,
    ConfigurationError,
    SealRefusedError,
    SourceChangedError,
    NoticeRefusedError,
)
"""Trying again can't help, or could do harm."""
_WAITING = (ModelUnavailableError, EffectBusyError, ToolUnavailableError, OutsideError)
"""They may say when to try again."""


def to_application_error(
    error: Exception, *, run_waits: bool = False, unbilled: bool = False, billed: Billed | None = None
) -> ApplicationError:
    """An error as Temporal should see it. Its details say which attempt failed.

    Raise it ``from None``: a cause would go into history with all of its text. The traceback is kept.

    Args:
        error: What was raised.
        run_waits: Whether the run waits for another attempt's lease, and asks anew: that uses up no attempt.
        unbilled: Whether the attempt, of a model call, was certainly not billed.
        billed: What was called, or may have been, of a tool.
    """
    if isinstance(error, ApplicationError):
        return error
    not_begun = error if isinstance(error, NotBegunError) else None
    if not_begun is not None:
        error = not_begun.cause
    facts: dict[str, object] = {"attempt": activity.info().attempt}
    if billed is not None:
        facts[BILLED] = billed.model_dump(mode="json")
    if isinstance(error, EarlierEffectError):
        facts["earlier"] = error.earlier
    if isinstance(error, EffectUnknownError) and error.attempts is not None:
        facts[CALLS] = error.attempts
    if isinstance(error, EffectBusyError):
        facts[BUSY_SECONDS] = error.retry_after.total_seconds()
    if not_begun is not None:
        facts[NOT_BEGUN] = True
        facts[ON_RECORD] = not_begun.is_on_record
    if unbilled:
        facts[UNBILLED] = True
    must_be_asked_anew = not_begun is not None and not not_begun.is_on_record
    # What is not ours may tell a request's URL, with the token that is in it.
    said = without_urls(f"{type(error).__name__}: {error}")
    message = str(error) if isinstance(error, AgentflowError) else said
    wait = error.retry_after if isinstance(error, _WAITING) else None
    failure = ApplicationError(
        # No payload can carry a lone surrogate, which a file name in an error may hold.
        message[:MAX_MESSAGE].encode(errors="replace").decode(),
        facts,
        type=_KINDS.get(type(error), type(error).__name__),
        non_retryable=is_final(error)
        or must_be_asked_anew
        or (run_waits and isinstance(error, EffectBusyError)),
        next_retry_delay=min(wait, MAX_RETRY_AFTER) if wait else None,
    )
    return failure.with_traceback(_first_cause(error).__traceback__)


def is_final(error: Exception) -> bool:
    """Whether trying again can't help, or could do harm."""
    return isinstance(error, _FINAL)


def _first_cause(error: BaseException) -> BaseException:
    # What a tool raises may go round in a circle.
    seen: list[BaseException] = []
    while error.__cause__ is not None and error not in seen:
        seen.append(error)
        error = error.__cause__
    return error
