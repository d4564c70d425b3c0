"""Agents that differ in who may decide, for the tests."""

from datetime import datetime

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ApprovalDecision, Resolution, ask
from agentflow.contracts.approval import ApprovalRequest, Approver
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.wire import Sha256
from agentflow.core.approval import Refusal, Verdict

with workflow.unsafe.imports_passed_through():
    from tests.workflow.agents import Banker
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK
    from tests.workflow.tools import Report

ROLES = {"ann": ("finance",)}


class Directory:
    """Knows people by a table, and falls over for whoever isn't in it."""

    method = "directory"

    def verify(
        self,
        decision: ApprovalDecision,
        verdict: Verdict,
        request: ApprovalRequest,
        run: Sha256,
        now: datetime,
    ) -> Approver | Refusal:
        return Approver(subject=decision.by, roles=ROLES[decision.by], method=self.method)

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> Approver | Refusal:
        return Approver(subject=resolution.by, roles=ROLES[resolution.by], method=self.method)


@workflow.defn
class OwnVerifier(AgentWorkflow[str, Report]):
    tools = Banker.tools
    rules = Banker.rules
    model_options = QUICK
    release = PROVEN
    approver_verifier = Directory()

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class Hierarchic(AgentWorkflow[str, Report]):
    """Asks the support, and later the finance people too."""

    tools = Banker.tools
    rules = (ask("large", reason="large", tools=("pay",), roles=("support",), next_roles=("finance",)),)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class Wirer(AgentWorkflow[str, Report]):
    """Asks two people of finance about each wire."""

    tools = Banker.tools
    rules = (ask("wires", reason="wires are final", tools=("wire",), roles=("finance",), people=2),)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class LongWirer(Wirer):
    """Continues as new while it waits."""

    loop_limits = ENDLESS
    max_history_bytes = 15_000

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
