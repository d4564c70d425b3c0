"""The ``reconcile_effect`` and ``close_effect`` activities: what became of a write whose activity failed.

And ``identify_ledger``: where the writes of a run are recorded.
"""

from collections.abc import Iterable

from agentflow.activity.effects import EffectOnce
from agentflow.activity.execution import effects_of
from agentflow.activity.failures import NotBegunError, to_application_error
from agentflow.activity.heartbeat import heartbeating
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outliving import Keepers
from agentflow.activity.worker_tool import WorkerTool
from agentflow.contracts.effects import EffectInquiry, EffectReport
from agentflow.contracts.ledger import LedgerIdentity, LedgerQuestion
from agentflow.contracts.names import CLOSE_EFFECT_ACTIVITY
from agentflow.errors import ConfigurationError, ToolUnavailableError


class EffectActivities:
    """Answers for the writing tools of a worker."""

    def __init__(
        self, tools: Iterable[WorkerTool], ledger: LedgerCalls, keepers: Keepers | None = None
    ) -> None:
        writes = ((tool.contract.name, effects_of(tool, ledger, keepers=keepers)) for tool in tools)
        self._writes = {name: write for name, write in writes if write is not None}
        self._ledger = ledger

    async def reconcile(self, inquiry: EffectInquiry) -> EffectReport:
        """Find out whether a call had its effect, by the ledger and the tool's probe.

        Raises:
            ApplicationError: an attempt may still be at it, and the run is to wait; or, retryable, the ledger
                can't be used.
        """
        try:
            with heartbeating():
                return await self._of(inquiry.tool).reconcile(inquiry.invocation)
        except Exception as error:
            raise to_application_error(error, run_waits=True) from None

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
                return await self._of(inquiry.tool).close(inquiry.invocation, inquiry.closing)
        except Exception as error:
            raise to_application_error(error, run_waits=True) from None

    async def identify(self, question: LedgerQuestion) -> LedgerIdentity:
        """Which ledger this worker has, for a run's first write.

        Raises:
            ApplicationError: retryable, since the ledger can't be used; the write that asks was not begun.
        """
        try:
            self._of(question.tool)
            return await self._ledger.identity()
        except Exception as error:
            not_begun = NotBegunError(error, is_on_record=True, chain=question.chain)
            raise to_application_error(not_begun) from None

    def _of(self, tool: str) -> EffectOnce:
        try:
            return self._writes[tool]
        except KeyError:
            # While a fleet is deployed, another worker of the queue may have it.
            raise ToolUnavailableError(f"this worker has no tool {tool} that writes") from None
