"""Agents with verifiers of their own, for the tests: most answer as the stated name says."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ApprovalDecision, Resolution
from agentflow.contracts.approval import Approver
from agentflow.core.approval import Refusal

with workflow.unsafe.imports_passed_through():
    from benchmarks.attacks.wrong_answers import APPROVERS, PLAIN
    from tests.workflow.agents import Banker, LongBanker
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK
    from tests.workflow.tools import Report

ROLES = {"ann": ("finance",)}


def known(name: str, **changes: Any) -> Approver:
    return Approver(**{"subject": name, "roles": ("finance",), "method": "badge", **changes})


ANSWERS: dict[str, Callable[[], Any]] = {
    **PLAIN,
    **APPROVERS,
    "no name": lambda: known(" "),
    "far too long": lambda: known("ann", roles=("x" * 40_000,)),
    "an exit": lambda: sys.exit(1),
    "a refusal": lambda: Refusal("not on the list"),
}
"""What a verifier answers, by the stated name; of all others it knows the name. None of these is somebody."""


class Badge:
    """Knows everybody, and answers in many ways."""

    method = "badge"

    def verify(self, decision: ApprovalDecision, *told: Any) -> Any:
        if decision.by == "hangs":
            time.sleep(3)
        return ANSWERS.get(decision.by, lambda: known(decision.by))()

    def verify_resolution(self, resolution: Resolution, *told: Any) -> Any:
        if resolution.by == "hangs":
            time.sleep(3)
        return ANSWERS.get(resolution.by, lambda: known(resolution.by.removeprefix("stated ")))()


class Elsewhere:
    """Asks elsewhere who somebody is."""

    method = "badge"

    def __init__(self) -> None:
        self._badge = Badge()

    async def verify(self, decision: ApprovalDecision, *told: Any) -> Any:
        await asyncio.sleep(3 if decision.by == "hangs" else 0.01)
        return self._badge.verify(decision, *told)

    async def verify_resolution(self, resolution: Resolution, *told: Any) -> Any:
        await asyncio.sleep(3 if resolution.by == "hangs" else 0.01)
        return self._badge.verify_resolution(resolution, *told)


class Directory:
    """Knows people by a table, and falls over for whoever isn't in it."""

    method = "directory"

    def verify(self, decision: ApprovalDecision, *told: Any) -> Approver:
        return Approver(subject=decision.by, roles=ROLES[decision.by], method=self.method)

    def verify_resolution(self, resolution: Resolution, *told: Any) -> Approver:
        return Approver(subject=resolution.by, roles=ROLES[resolution.by], method=self.method)


@workflow.defn
class Badged(AgentWorkflow[str, Report]):
    tools = Banker.tools
    rules = Banker.rules
    model_options = QUICK
    release = PROVEN
    approver_verifier = Badge()

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class Asking(Badged):
    approver_verifier = Elsewhere()

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class OwnVerifier(Badged):
    approver_verifier = Directory()

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class LongBadged(Badged):
    loop_limits = ENDLESS
    max_history_bytes = LongBanker.max_history_bytes

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
