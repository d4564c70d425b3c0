"""One agent for each suite: in a module of their own, as Temporal's sandbox loads it for each run."""

from datetime import timedelta

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Release

with workflow.unsafe.imports_passed_through():
    from benchmarks.agentdojo.suites import BANKING, SLACK, TRAVEL, WORKSPACE
    from benchmarks.agentdojo.tools import tools_of_suite

RELEASE = Release(version="1", proven_models=("scripted:model",))


class Assistant(AgentWorkflow[str, str], abstract=True):
    """What the four have in common."""

    instructions = "Do what the person asks."
    release = RELEASE
    approval_timeout = timedelta(hours=1)


@workflow.defn
class WorkspaceAssistant(Assistant):
    """E-mail, calendar and files."""

    tools = tools_of_suite("workspace")
    rules = WORKSPACE.rules

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start with what a person asks."""
        return await self.run_agent(task)


@workflow.defn
class TravelAssistant(Assistant):
    """Hotels, restaurants, cars."""

    tools = tools_of_suite("travel")
    rules = TRAVEL.rules

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start with what a person asks."""
        return await self.run_agent(task)


@workflow.defn
class BankingAssistant(Assistant):
    """Payments and standing orders."""

    tools = tools_of_suite("banking")
    rules = BANKING.rules

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start with what a person asks."""
        return await self.run_agent(task)


@workflow.defn
class SlackAssistant(Assistant):
    """Messages, channels and web pages."""

    tools = tools_of_suite("slack")
    rules = SLACK.rules

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start with what a person asks."""
        return await self.run_agent(task)


ASSISTANTS: dict[str, type] = {
    "workspace": WorkspaceAssistant,
    "travel": TravelAssistant,
    "banking": BankingAssistant,
    "slack": SlackAssistant,
}
