"""Agents whose tools outlive their attempts. The sandbox loads this module for each run."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, allow

with workflow.unsafe.imports_passed_through():
    from tests.workflow.blocking_tools import BlockingBank
    from tests.workflow.settings import PROVEN, QUICK

__all__ = ["BlockingBank", "Charger"]


@workflow.defn
class Charger(AgentWorkflow[str, str]):
    """Charges in a step of its own, by the tool that the task names."""

    tools = (
        BlockingBank.charge,
        BlockingBank.charge_or_hang,
        BlockingBank.charge_deaf,
        BlockingBank.charge_apart,
    )
    rules = (
        allow("all", reason="a test", tools=("charge", "charge_or_hang", "charge_deaf", "charge_apart")),
    )
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        tool = next(one for one in self.tools if one.contract.name == task.input)
        came = await self.call_tool(tool, {"account": "alice"})
        return str(came.output or (came.error.message if came.error else ""))
