"""Every exception agentflow raises.

    AgentflowError
    ├── ConfigurationError          the code or the settings are wrong; fix them and restart
    │   ├── ToolDefinitionError     a function can't become a tool
    │   ├── WorkflowDefinitionError an AgentWorkflow subclass is incomplete
    │   ├── UnknownModelError       no model, or no price, by that name
    │   ├── MissingExtraError       an optional dependency isn't installed
    │   └── LedgerMovedError        a ledger was moved, copied or restored, and no operator has adopted it
    ├── LocalProcessError           a server started on this machine didn't come up
    ├── ModelError                  a model call failed
    │   ├── ModelUnavailableError   may work later: 429, 5xx, time-out, connection
    │   └── ModelRejectedError      will fail again: 400, 401, 403, unknown model
    ├── GuardRefusedError           a guard did not say yes to what a model was to see
    ├── ToolError                   a tool's own refusal; the model is told its text
    ├── ToolUnavailableError        a tool could not start, and certainly did nothing
    ├── OutsideError                an outside system failed, and may have done what was asked
    ├── NoticeRefusedError          nobody wants a notice; it is not tried again
    ├── SealRefusedError            an activity was asked what no run of its fleet sealed
    ├── SourceChangedError          an imported tool is not any more what was imported
    ├── ToolChangedError            a tool takes or does something else than when the run began
    ├── EffectUnknownError          a side effect may or may not have happened
    ├── EffectBusyError             an earlier attempt's side effect may still come about; try later
    ├── EffectConflictError         a call is not the one that was allowed, or that its key is of
    ├── EarlierEffectError          an earlier write stands in the way; nothing was done
    ├── ForbiddenNowError           a write that was allowed is forbidden by now; the tool was not called
    ├── LedgerError                 the effect ledger can't be read or written
    │   └── OtherLedgerError        it isn't the one that the run's writes are recorded in, or lost some
    ├── BlobMissingError            the blob store lost what a hash names
    ├── StoredValueError            external storage lost or altered what history refers to
    ├── AuditError                  a bundle, or a key of one, can't be made, kept or read
    ├── DecisionRefusedError        a person's decision did not count
    ├── PayloadTooLargeError        refused before it was sent; size and limit in the text
    └── RunStopped                  raised inside a run to end it with an outcome
        ├── RunDenied               a rule, a check or a person refused
        ├── BudgetExhausted         the next step doesn't fit the budget
        └── RunEscalated            a person had to take over, and the run ends there

A tool failure that the model should see is a value (``ToolResult.error``). An infrastructure
failure is an exception, which Temporal retries.
"""

from collections.abc import Mapping
from datetime import timedelta


class AgentflowError(Exception):
    """Root of every exception this library raises.

    The plugin registers it as a workflow failure type: raised in workflow code it fails the run at
    once, where any other exception would fail the workflow task and be retried for ever.
    """


class ConfigurationError(AgentflowError):
    """The code or the settings are wrong; nothing will work until they are fixed."""


class ToolDefinitionError(ConfigurationError):
    """A function can't become a tool; the text names the function and what to change."""


class WorkflowDefinitionError(ConfigurationError):
    """An ``AgentWorkflow`` subclass is incomplete; the text shows what to write."""


class UnknownModelError(ConfigurationError):
    """No model, or no price, is known by a name; the text says how to give one."""


class MissingExtraError(ConfigurationError):
    """An optional dependency isn't installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an extra: pip install "agentflow-temporal[{extra}]"')


class LedgerMovedError(ConfigurationError):
    """The effect ledger was moved, copied or restored, and no operator has said what it lacks."""


class LocalProcessError(AgentflowError):
    """A server started on this machine didn't come up; the text has its last log lines."""


class ModelError(AgentflowError):
    """A model call failed. It stays charged at its worst case, unless it was certainly not billed."""

    def __init__(self, message: str, *, unbilled: bool = False) -> None:
        super().__init__(message)
        self.unbilled = unbilled
        """Whether it is certain that nothing was billed: the request was not sent, or was refused before
        anything was generated."""


class ModelUnavailableError(ModelError):
    """The provider may answer later: rate limit, overload, time-out, lost connection."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None, unbilled: bool = False) -> None:
        super().__init__(message, unbilled=unbilled)
        self.retry_after = retry_after
        """How long the provider asked to wait (its ``Retry-After``), if it said."""


class ModelRejectedError(ModelError):
    """The provider will refuse again: bad request, credentials, permission, unknown model."""


class GuardRefusedError(AgentflowError):
    """The input guard refused what a model was to see, or could not say yes; the run is denied."""


class ToolError(AgentflowError):
    """A tool's own refusal, such as "the amount exceeds what was paid".

    Raise it inside a tool. Its text becomes ``ToolResult.error``, which the model reads. It isn't
    retried, and it says that the effect did not happen.
    """


def another_in_place(ledger: str, first: str, now: str) -> str:
    """The text of a ``LedgerError``: a ledger was replaced under a worker that uses it.

    Args:
        ledger: Named for people.
        first: Its id when the worker began to use it.
        now: Its id now.
    """
    return (
        f"the effect ledger {ledger} is {now} now, and was {first} when this worker began to use it: "
        "no write runs. Put the old one back; or, if it is lost, say so by "
        f"`agentflow ledger adopt --instead-of {first}`; or restart the worker to begin with the new one"
    )


class ToolUnavailableError(AgentflowError):
    """A tool could not start its work: no effect happened, and a later attempt may succeed.

    Raise it inside a write when that is certain, such as a refused connection. Any other exception
    leaves the effect in doubt.
    """

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """How long the outside system asked to wait (its ``Retry-After``), if it said."""


class OutsideError(AgentflowError):
    """An outside system failed without saying whether it did what was asked: a 5xx, a lost connection."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """How long it asked to wait, if it said."""


class NoticeRefusedError(AgentflowError):
    """Nobody wants a notice any more; it is not tried again."""


class SealRefusedError(AgentflowError):
    """An activity was asked to do what no run of its fleet sealed for it; it did nothing."""


class SourceChangedError(AgentflowError):
    """An API or a server offers a tool in another form than the one imported; the text has the diff."""


class ToolChangedError(AgentflowError):
    """A deploy changed what a tool takes or does; a run that began before does not call it."""


class EffectUnknownError(AgentflowError):
    """A side effect may or may not have happened, and only a person can tell."""

    attempts: int | None = None
    """How many attempts may have called the tool, by the ledger."""


class EffectBusyError(AgentflowError):
    """What an earlier attempt began may still have its effect, so this one must not act yet."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """When it can't any more."""


class EffectConflictError(AgentflowError):
    """A call is not the one that was allowed, or that its ledger key is of: a bug, never retried."""


class EarlierEffectError(AgentflowError):
    """An earlier write stands in the way of one; nothing was done.

    An earlier run of the workflow id had the very effect, or this run another one in its place, before it was
    reset. It is not tried again; the run asks a person what that means.
    """

    def __init__(self, message: str, earlier: Mapping[str, object]) -> None:
        super().__init__(message)
        self.earlier = earlier
        """``contracts.effects.EarlierEffect`` as JSON."""


class ForbiddenNowError(AgentflowError):
    """A write that was allowed is forbidden by the time it would be made: frozen, or a consent was revoked.

    The tool was not called. It is not tried again; the run asks a person.
    """


class LedgerError(AgentflowError):
    """The effect ledger can't be read or written, so no write may run."""


class OtherLedgerError(LedgerError):
    """A worker's ledger isn't the one that a run's writes are recorded in, or has lost some of them."""


class BlobMissingError(AgentflowError):
    """The blob store lost what a hash names, or its bytes don't match the hash."""


class StoredValueError(AgentflowError):
    """External storage lost a value that history refers to, or it is not what it was."""


class AuditError(AgentflowError):
    """A bundle for auditors, or a key of one, can't be made, kept or read; the text says which and why."""


class DecisionRefusedError(AgentflowError):
    """A person's decision did not count; the text says why. The run goes on waiting."""


class PayloadTooLargeError(AgentflowError):
    """A value was refused before it was sent, since Temporal would have refused or hung on it."""

    def __init__(self, what: str, size: int, limit: int, advice: str = "") -> None:
        super().__init__(f"{what} is {size} bytes; the limit is {limit} bytes{advice}")
        self.size = size
        self.limit = limit


class RunStopped(AgentflowError):  # noqa: N818 - an end of the run, not an error of the program
    """Raised inside a run to end it; ``run_agent`` turns it into the run's ``AgentOutcome``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RunDenied(RunStopped):
    """A rule, a pre-flight or post-flight check, or a person refused what the run needs."""


class BudgetExhausted(RunStopped):
    """The next step's worst case doesn't fit what is left of the budget."""


class RunEscalated(RunStopped):
    """A person had to take over and the run ends there: aborted, or not resolved in time."""
