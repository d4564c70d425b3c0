"""An agent with tools that slip from its hands."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, allow

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import PROVEN, QUICK
    from tests.workflow.slipping_tools import Slips


@workflow.defn
class Slipping(AgentWorkflow[str, str]):
    """May do all that they do."""

    tools = (
        Slips.pay_in_time,
        Slips.pay_slowly,
        Slips.pay_and_hang,
        Slips.pay_once,
        Slips.pay_by_post,
        Slips.pay_at_the_counter,
        Slips.pay_and_fail,
        Slips.pay_when_released,
        Slips.pay_elsewhere,
        Slips.pay_vaguely,
    )
    rules = (
        allow("all", reason="small payments need nobody", tools=tuple(each.contract.name for each in tools)),
    )
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)
