"""How far a tool call that is allowed has come, over all of its activities."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agentflow.contracts.messages import ToolCall
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import ToolContract, ToolInvocation
from agentflow.contracts.wire import Sha256
from agentflow.contracts.work import Work
from agentflow.workflow.failures import Failure

_NONE = timedelta(0)
MAX_WAITS = 1_000
"""For leases, in one call: they end, and so must this."""
MAX_DEATHS = 5
"""How often all attempts at a call may end with a worker's death: it might be what kills them."""


@dataclass(frozen=True)
class Allowed:
    """A call that rules or people have allowed, as it goes to the worker."""

    call: ToolCall
    index: int
    """Its call index."""
    contract: ToolContract
    decision: Decision
    invocation: ToolInvocation

    @property
    def work(self) -> Work:
        """What a write does."""
        assert self.invocation.work is not None  # it is a write
        return self.invocation.work

    def under(self, key: Sha256) -> "Allowed":
        """The same write, under another ledger key."""
        return replace(self, invocation=self.invocation.model_copy(update={"ledger_key": key}))

    def knowing(self, **more: object) -> "Allowed":
        """The same write, by a run that knows more of the same work."""
        work = self.work.model_copy(update=more)
        return replace(self, invocation=self.invocation.model_copy(update={"work": work}))


@dataclass
class Course:
    """How far a call has come, over all of its activities."""

    allowed: Allowed
    since: datetime
    """When it was first scheduled."""
    attempts_left: int
    """Of those that its contract gives it."""
    refusals_left: int
    """Of activities that their worker could not begin: as many."""
    was_sent: bool = False
    """Whether an activity of it has been scheduled."""
    was_refused: bool = False
    """Whether the last worker could not begin it: its ledger can't be used, or isn't the run's."""
    waits: int = 0
    deaths: int = 0

    def after(self, failure: Failure) -> timedelta | None:
        """How long to wait before the next activity; ``None`` if the call has failed for good."""
        contract, attempts = self.allowed.contract, failure.attempts or 0
        if contract.effect == "read":
            return None
        self.heed(failure)
        if self.waits >= MAX_WAITS:
            return None
        self.waits += 1
        self.was_refused = failure.not_begun and not failure.is_on_record
        if self.was_refused:
            # The last attempt did nothing.
            self.attempts_left = max(1, self.attempts_left - max(0, attempts - 1))
            self.refusals_left -= 1
            return self._pause() if self.refusals_left > 0 else None
        # The first attempt of an activity may find that of another; a later one finds one of its own.
        self.deaths += failure.worker_died or (failure.wait is not None and attempts != 1)
        if self.deaths > MAX_DEATHS:
            return None
        if failure.wait is not None:
            return failure.wait
        # All its attempts came to this end, which may be what the tool itself always comes to.
        self.attempts_left = 1
        return _NONE if failure.worker_died and contract.recovery != "ask" else None

    def heed(self, failure: Failure) -> None:
        """Keep it in mind if an attempt may have begun: then the ledger must have a record of it."""
        if failure.may_have_begun and self.was_sent and self.allowed.contract.effect != "read":
            self.allowed = self.allowed.knowing(begun=self.since)

    def _pause(self) -> timedelta:
        retry = self.allowed.contract.options.retry
        pauses = retry.max_attempts - self.refusals_left - 1
        try:
            return min(retry.initial_interval * retry.backoff**pauses, retry.max_interval)
        except OverflowError:
            return retry.max_interval
