"""Agents whose names look like the cashier's."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask

with workflow.unsafe.imports_passed_through():
    from benchmarks.attacks.bank import Cashier


@workflow.defn
class Cashіer(Cashier):  # noqa: PLC2401 - it looks like another
    """An agent whose name has a Cyrillic letter in it."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class CASHIER(Cashier):
    """An agent whose name is another's in capitals."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Cash1er(Cashier):
    """An agent whose name has a digit for a letter."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)
