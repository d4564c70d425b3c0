"""How errors reach Temporal: what is retried, after how long, and what is not."""

from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR, TRANSCRIPT_MISSING_ERROR
from agentflow.errors import (
    AgentflowError,
    BlobMissingError,
    ConfigurationError,
    EffectConflictError,
    EffectUnknownError,
    ModelRejectedError,
    ModelUnavailableError,
)

MAX_RETRY_AFTER = timedelta(minutes=15)
"""A provider that asks for a longer wait is asked again all the same: a person may be waiting."""
MAX_MESSAGE = 2_000
"""Characters of an error's text that go into history."""


def to_application_error(error: Exception) -> ApplicationError:
    """An error as Temporal should see it. Its details say which attempt failed."""
    facts = {"attempt": activity.info().attempt}
    message = f"{error}"[:MAX_MESSAGE] or type(error).__name__
    match error:
        case ApplicationError():
            return error
        case ModelUnavailableError(retry_after=retry_after):
            wait = min(retry_after, MAX_RETRY_AFTER) if retry_after else None
            return ApplicationError(message, facts, type="ModelUnavailable", next_retry_delay=wait)
        case ModelRejectedError():
            return ApplicationError(message, facts, type="ModelRejected", non_retryable=True)
        case BlobMissingError():
            return ApplicationError(message, facts, type=TRANSCRIPT_MISSING_ERROR, non_retryable=True)
        case EffectUnknownError():
            return ApplicationError(message, facts, type=EFFECT_UNKNOWN_ERROR, non_retryable=True)
        case EffectConflictError() | ConfigurationError():
            return ApplicationError(message, facts, type=type(error).__name__, non_retryable=True)
        case AgentflowError():
            return ApplicationError(message, facts, type=type(error).__name__)
        case _:
            text = f"{type(error).__name__}: {message}"[:MAX_MESSAGE]
            return ApplicationError(text, facts, type=type(error).__name__)
