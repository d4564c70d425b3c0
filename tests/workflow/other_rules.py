"""The test bank's agents with other rules: what a worker has after a deployment."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, deny

with workflow.unsafe.imports_passed_through():
    from tests.workflow import agents
    from tests.workflow.tools import Report


@workflow.defn(name="Banker")
class StricterBanker(agents.Banker):
    rules = (
        *agents.Banker.rules,
        deny("bob", reason="not to bob", tools=("pay",), when=lambda c: c.arguments["account"] == "bob"),
    )

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn(name="Banker")
class StingyBanker(agents.Banker):
    rules = (*agents.Banker.rules, deny("nobody", reason="nobody is paid", tools=("pay",)))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn(name="LongBanker")
class StingyLongBanker(agents.LongBanker):
    rules = (*agents.LongBanker.rules, deny("nobody", reason="nobody is paid", tools=("pay",)))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
