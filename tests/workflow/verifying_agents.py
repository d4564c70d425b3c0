"""Agents with verifiers of their own that answer as the stated name says, for the tests."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ApprovalDecision, Resolution
from agentflow.contracts.approval import ApprovalRequest, Approver
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.wire import Sha256
from agentflow.core.approval import Refusal, Verdict

with workflow.unsafe.imports_passed_through():
    from tests.workflow.agents import Banker, LongBanker
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK
    from tests.workflow.tools import Report


class Renamed(Approver):
    """An approver of another class."""


async def _later() -> Approver:
    return known("ann")


def known(name: str, **changes: Any) -> Approver:
    return Approver(**{"subject": name, "roles": ("finance",), "method": "badge", **changes})


def _raise(error: BaseException) -> Any:
    raise error


ANSWERS: dict[str, Callable[[], Any]] = {
    "true": lambda: True,
    "text": lambda: "ann",
    "nothing": lambda: None,
    "coroutine": _later,
    "a dict": lambda: known("ann").model_dump(),
    "a list": lambda: [known("ann")],
    "the class": lambda: Approver,
    "a subclass": lambda: Renamed(subject="ann", method="badge"),
    "another method": lambda: known("ann", method="signed"),
    "no name": lambda: known(" "),
    "past its checks": lambda: Approver.model_construct(subject=7, roles=None, method="badge"),
    "far too long": lambda: known("ann", roles=("x" * 40_000,)),
    "an error": lambda: _raise(ValueError("boom")),
    "an exit": lambda: _raise(SystemExit(1)),
    "a refusal": lambda: Refusal("not on the list"),
}
"""What a verifier answers, by the stated name; of all others it knows the name. None of these is somebody."""


class Badge:
    """Knows everybody, and answers in many ways."""

    method = "badge"

    def verify(
        self,
        decision: ApprovalDecision,
        verdict: Verdict,
        request: ApprovalRequest,
        run: Sha256,
        now: datetime,
    ) -> Any:
        if decision.by == "hangs":
            time.sleep(3)
        return ANSWERS.get(decision.by, lambda: known(decision.by))()

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> Any:
        if resolution.by == "hangs":
            time.sleep(3)
        return ANSWERS.get(resolution.by, lambda: known(resolution.by.removeprefix("stated ")))()


class Directory:
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
class Asking(AgentWorkflow[str, Report]):
    tools = Banker.tools
    rules = Banker.rules
    model_options = QUICK
    release = PROVEN
    approver_verifier = Directory()

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class LongBadged(AgentWorkflow[str, Report]):
    tools = Banker.tools
    rules = Banker.rules
    model_options = QUICK
    release = PROVEN
    loop_limits = ENDLESS
    max_history_bytes = LongBanker.max_history_bytes
    approver_verifier = Badge()

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
