"""An agent with tools that slip from its hands."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, allow

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import PROVEN, QUICK
    from tests.workflow.slipping_tools import Slips


@workflow.defn
class Slipping(AgentWorkflow[str, str]):
    """May do all that they do."""

    tools = (Slips.pay_in_time, Slips.pay_slowly, Slips.pay_and_hang, Slips.pay_once, Slips.pay_by_post)
    rules = (
        allow(
            "all",
            reason="small payments need nobody",
            tools=("pay_in_time", "pay_slowly", "pay_and_hang", "pay_once", "pay_by_post"),
        ),
    )
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)
