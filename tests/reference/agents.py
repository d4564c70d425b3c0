"""The support agent as it would be released for a model that its evals have proven."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask
from workflows.support_answers import SupportResult
from workflows.support_refund import SupportRefund
from workflows.support_tickets import Ticket


@workflow.defn
class ProvenSupportRefund(SupportRefund):
    release = SupportRefund.release.model_copy(update={"proven_models": ("scripted:model",)})

    @workflow.run
    async def run(self, task: AgentTask[Ticket]) -> AgentOutcome[SupportResult]:
        return await self.run_agent(task)
