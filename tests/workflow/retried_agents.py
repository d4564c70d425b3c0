"""Agents that are done again, by Temporal or by people, for the tests."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, allow

with workflow.unsafe.imports_passed_through():
    from tests.workflow.ferry import Ferry
    from tests.workflow.settings import PROVEN
    from tests.workflow.tools import Bank


@workflow.defn
class Stumbler(AgentWorkflow[str, str]):
    """Pays, and fails after that, the first time that it is tried."""

    tools = (Bank.pay,)
    rules = (allow("all", reason="a test", tools=("pay",)),)
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        paid = await self.call_tool(Bank.pay, {"account": "alice", "amount": "10.00"})
        if workflow.info().attempt == 1:
            raise ApplicationError("it stumbled")
        return paid.output or ""


@workflow.defn
class Strayer(AgentWorkflow[str, str]):
    """Pays another account each time that it is tried, and the first is closed; fails after that, twice."""

    tools = (Bank.pay,)
    rules = (allow("all", reason="a test", tools=("pay",)),)
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        attempt = workflow.info().attempt
        account = ("closed", "bob", "carol")[attempt - 1]
        paid = await self.call_tool(Bank.pay, {"account": account, "amount": "10.00"})
        if attempt < 3:
            raise ApplicationError("it stumbled")
        return paid.output or ""


@workflow.defn
class Sender(AgentWorkflow[str, str]):
    """Sends by the ferry."""

    tools = (Ferry.send,)
    rules = (allow("all", reason="a test", tools=("send",)),)
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        sent = await self.call_tool(Ferry.send, {"parcel": task.input})
        return sent.output or ""
