"""The ``reconcile_effect`` and ``close_effect`` activities: what became of a write whose activity failed.

And ``identify_ledger``: where the writes of a run are recorded.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from temporalio import activity

from agentflow.activity.calling import ToolCaller
from agentflow.activity.effects import EffectOnce
from agentflow.activity.execution import effects_of
from agentflow.activity.failures import to_application_error
from agentflow.activity.gone_tool import GoneTool
from agentflow.activity.heartbeat import heartbeating
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outliving import Keepers
from agentflow.activity.tally import Tally
from agentflow.activity.worker_tool import WorkerTool
from agentflow.contracts.effects import EffectInquiry, EffectReport
from agentflow.contracts.ledger import LedgerIdentity, LedgerQuestion
from agentflow.contracts.names import CLOSE_EFFECT_ACTIVITY
from agentflow.core.catalog import what_it_takes
from agentflow.errors import ConfigurationError, ToolUnavailableError

TRIES_ELSEWHERE = 3
"""How often a worker without the tool leaves an inquiry to another one: while a fleet is deployed, that may
have it, and its probe knows more than the ledger."""


@dataclass(frozen=True)
class Asker:
    """An execution that is about to be pinned to a ledger, and may not be the first one of its run."""

    workflow_id: str
    run_id: str
    chain: str
    """Which run of its workflow id it is of: ``core.idempotency.chain_of``."""
    task_queue: str
    """Whose writes the ledger is for."""


PinBefore = Callable[[Asker], Awaitable[str | None]]
"""Answers the ledger id that an earlier execution was pinned to, if any was; raises ``LedgerError``."""


async def _none_before(asker: Asker) -> str | None:
    return None


class EffectActivities:
    """Answers for the writing tools of a worker."""

    def __init__(
        self,
        tools: Iterable[WorkerTool],
        ledger: LedgerCalls,
        keepers: Keepers | None = None,
        pin_before: PinBefore = _none_before,
    ) -> None:
        writes = ((tool.contract.name, effects_of(tool, ledger, keepers=keepers)) for tool in tools)
        self._writes = {name: write for name, write in writes if write is not None}
        self._takes = {name: what_it_takes(write.caller.contract) for name, write in self._writes.items()}
        self._ledger = ledger
        self._pin_before = pin_before

    async def reconcile(self, inquiry: EffectInquiry) -> EffectReport:
        """Find out whether a call had its effect, by the ledger and the tool's probe.

        Raises:
            ApplicationError: an attempt may still be at it, and the run is to wait; or, retryable, the ledger
                can't be used.
        """
        tally = Tally.begun()
        try:
            with heartbeating():
                report = await self._asked(inquiry).reconcile(inquiry.invocation, may_probe=inquiry.may_probe)
        except Exception as error:
            raise to_application_error(error, run_waits=True, billed=tally.billed) from None
        return report.model_copy(update={"billed": tally.billed})

    async def close(self, inquiry: EffectInquiry) -> EffectReport:
        """Record what a person says of a call; answer what is on record then.

        Raises:
            ApplicationError: an attempt may still be at it, and the run is to wait; or, retryable, the ledger
                can't be used.
        """
        try:
            if inquiry.closing is None:
                raise ConfigurationError(f"{CLOSE_EFFECT_ACTIVITY} needs a person's word")
            with heartbeating():
                return await self._asked(inquiry).close(inquiry.invocation, inquiry.closing)
        except Exception as error:
            raise to_application_error(error, run_waits=True) from None

    async def identify(self, question: LedgerQuestion) -> LedgerIdentity:
        """Which ledger a run's writes are recorded in: an earlier execution's, or else this worker's.

        Raises:
            ApplicationError: retryable, as the ledger can't be used or earlier executions can't be read.
        """
        try:
            self._of(question.tool)
            own = await self._ledger.identity()
            pinned = await self._pinned(question.chain)
            return own if pinned in (None, own.id) else LedgerIdentity(id=pinned)
        except Exception as error:
            raise to_application_error(error) from None

    async def _pinned(self, chain: str) -> str | None:
        info = activity.info()
        run_id = info.workflow_run_id or ""
        if run_id == chain:
            # The first execution of its run.
            return None
        return await self._pin_before(Asker(info.workflow_id or "", run_id, chain, info.task_queue))

    def _asked(self, inquiry: EffectInquiry) -> EffectOnce:
        """Who answers: the tool that the run called, or else the ledger alone.

        A deploy may have taken the tool away, or put another one in its place, whose probe would be asked
        for what it never did: then people are asked, and their word is taken, without it.
        """
        tool, takes = inquiry.tool, inquiry.invocation.takes
        if not takes or takes == self._takes.get(tool):
            return self._of(tool)
        if activity.info().attempt <= TRIES_ELSEWHERE:
            raise ToolUnavailableError(f"this worker has no tool {tool} as the run began with it")
        return EffectOnce(ToolCaller(GoneTool(tool)), self._ledger)

    def _of(self, tool: str) -> EffectOnce:
        try:
            return self._writes[tool]
        except KeyError:
            # While a fleet is deployed, another worker of the queue may have it.
            raise ToolUnavailableError(f"this worker has no tool {tool} that writes") from None
