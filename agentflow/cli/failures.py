"""What expected errors mean to a person at a shell: a message and an exit code.

What isn't listed here is a bug, and keeps its traceback.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from temporalio.client import (
    RPCTimeoutOrCancelledError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from agentflow.cli.exits import CommandFailed, ExitCode
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.errors import AgentflowError, ConfigurationError, LedgerError

AnswerT = TypeVar("AnswerT")

RPC_TIMEOUT = timedelta(seconds=15)
"""For calls that the server answers by itself."""

_SILENT = frozenset({RPCStatusCode.CANCELLED, RPCStatusCode.DEADLINE_EXCEEDED})
"""What a time-out of our own looks like: the SDK cancels the call."""

_RPC_CODES = {
    RPCStatusCode.CANCELLED: ExitCode.UNREACHABLE,
    RPCStatusCode.DEADLINE_EXCEEDED: ExitCode.UNREACHABLE,
    RPCStatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    RPCStatusCode.UNAUTHENTICATED: ExitCode.UNREACHABLE,
    RPCStatusCode.PERMISSION_DENIED: ExitCode.UNREACHABLE,
    RPCStatusCode.RESOURCE_EXHAUSTED: ExitCode.UNREACHABLE,
    RPCStatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    RPCStatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
}


_CODES = (
    (ConfigurationError, ExitCode.USAGE),
    (LedgerError, ExitCode.UNREACHABLE),
    ((AgentflowError, WorkflowFailureError, FailureError), ExitCode.REFUSED),
    ((TimeoutError, RPCTimeoutOrCancelledError), ExitCode.UNREACHABLE),
)
"""Expected errors; the first that fits decides."""


_DIVERGED = "TMPRL1100"
"""Temporal's code of an error of non-determinism."""


async def answer_of(
    workflow_id: str, answer: Awaitable[AnswerT], *, timeout: timedelta = RPC_TIMEOUT
) -> AnswerT:
    """The answer of a run's worker to a query or an update.

    Args:
        workflow_id: The run.
        answer: The call.
        timeout: How long it may take; a worker is asked, so it may never come.

    Raises:
        CommandFailed: no worker answered, or what answered isn't an agentflow run.
    """
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            return await answer
    except (TimeoutError, RPCTimeoutOrCancelledError):
        raise _no_worker(workflow_id) from None
    except RPCError as error:
        if error.status in _SILENT or "poller" in error.message:
            raise _no_worker(workflow_id) from error
        raise
    except (WorkflowQueryFailedError, WorkflowQueryRejectedError) as error:
        raise CommandFailed(ExitCode.REFUSED, _unanswered(workflow_id, str(error))) from error


def _unanswered(workflow_id: str, why: str) -> str:
    """Why a worker that was there gave no answer, and what to do."""
    if _DIVERGED in why:
        return (
            f"{workflow_id} can't be asked: its worker's code would not have done what the run did. The run "
            f"stands still until a worker has that code again; `agentflow replay {workflow_id}` says where "
            f"they differ ({why})"
        )
    if "unknown query" in why or "did not find a query" in why.lower() or "query handler" in why.lower():
        return f"{workflow_id} is no agentflow run: it has no such query ({why})"
    return f"{workflow_id} can't be asked: its worker failed at it, and its log says more ({why})"


def explain(error: Exception) -> CommandFailed | None:
    """The message and exit code of an expected error; ``None`` for a bug."""
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, RPCError):
        return CommandFailed(_RPC_CODES.get(error.status, ExitCode.REFUSED), _rpc_text(error))
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return CommandFailed(code, _text(error))
    return None


def failure_text(error: BaseException) -> str:
    """The reasons of a failed run, from the outermost to the innermost that says something."""
    reasons: list[str] = []
    cause: BaseException | None = error.cause if isinstance(error, WorkflowFailureError) else error
    while cause is not None:
        text = cause.message if isinstance(cause, ApplicationError) else str(cause)
        if text and text not in reasons:
            reasons.append(text)
        cause = cause.__cause__
    return ": ".join(reasons)


def _text(error: Exception) -> str:
    match error:
        case WorkflowAlreadyStartedError():
            return f"{error.workflow_id} is running already: look at it, or choose another --id"
        case WorkflowFailureError() | FailureError():
            return failure_text(error)
        case TimeoutError() | RPCTimeoutOrCancelledError():
            return "Temporal didn't answer in time"
        case _:
            return str(error)


def _rpc_text(error: RPCError) -> str:
    message = error.message or error.status.name.lower()
    if error.status == RPCStatusCode.NOT_FOUND:
        return f"{message} (is --namespace right?)"
    if error.status == RPCStatusCode.INVALID_ARGUMENT and any(name in message for name in SEARCH_ATTRIBUTES):
        return f"{message}: the namespace lacks agentflow's search attributes; run `agentflow setup`"
    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return (
            f"Temporal refused the credentials ({message}): set TEMPORAL_API_KEY, TEMPORAL_TLS_* or a profile"
        )
    if error.status in _SILENT:
        return f"Temporal didn't answer in time ({message})"
    return message


def _no_worker(workflow_id: str) -> CommandFailed:
    return CommandFailed(
        ExitCode.UNREACHABLE,
        f"no worker answered for {workflow_id}: is one running for its task queue and workflow type?",
    )
