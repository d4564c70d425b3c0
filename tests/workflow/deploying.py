"""Workers of several deploys, one after the other, and what is asked of a run that they had."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.approval import ApprovalRequest
from agentflow.testing import ScriptedModel
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, replayed, serving


class Deploys:
    """Workers of several deploys that serve one task queue, one after the other."""

    def __init__(
        self,
        temporal: WorkflowEnvironment,
        directory: Path,
        model: ScriptedModel,
        bank: Any = None,
        **settings: Any,
    ) -> None:
        self._temporal, self._directory, self.model, self._settings = temporal, directory, model, settings
        self._queue, self._bank = f"deploys-{directory.name}", bank

    @asynccontextmanager
    async def of(self, *agents: type) -> AsyncIterator[Harness]:
        async with serving(
            self._temporal,
            self.model,
            self._directory,
            queue=self._queue,
            bank=self._bank,
            workflows=list(agents),
            **self._settings,
        ) as bank:
            self._bank = bank.bank
            yield bank

    async def waiting(
        self, agent: type = Banker, text: Any = "hello"
    ) -> tuple[WorkflowHandle[Any, Any], ApprovalRequest]:
        """A run that waits for an approval; its worker is gone."""
        async with self.of(agent) as bank:
            handle = await bank.start(agent, text)
            return handle, await bank.pending(handle)


async def ended(handle: WorkflowHandle[Any, Any], agent: type) -> Any:
    """The outcome of a run that no workflow task of failed, and which replays on the agent."""
    outcome, history = await handle.result(), await handle.fetch_history()
    failures = [event for event in history.events if event.HasField("workflow_task_failed_event_attributes")]
    assert failures == []
    await replayed(history, agent)
    return outcome
