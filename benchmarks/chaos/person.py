"""The person who answers the runs' escalations, as an operator would.

They find escalated runs by the search attribute, wait until nothing that was asked of payments can still be
under way, look at payments directly, and say what they see. Now and then they give up without looking.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import stripe
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError

from activities.payments import Payments
from agentflow import AgentClient, Resolution
from agentflow.contracts.escalation import EffectInDoubt, Escalation
from agentflow.contracts.names import AGENT_STATUS
from agentflow.contracts.wire import Sha256
from benchmarks.chaos.timing import MAX_EFFECT_DELAY
from benchmarks.chaos.tools import refunds_with, told

NAME = "paula"
GIVES_UP = 0.08
"""How often an effect in doubt is not looked into."""
_ESCALATED = f"{AGENT_STATUS} = 'escalated' AND ExecutionStatus = 'Running'"
_AGAIN = 20.0
"""Seconds after which an answer that has not counted is given again."""


class Person:
    """Answers until cancelled."""

    def __init__(
        self, agents: AgentClient, payments: Payments, charge_of: Callable[[str], str], seed: int
    ) -> None:
        self._agents = agents
        self._payments = payments
        self._charge_of = charge_of
        self._seed = seed
        self._busy: set[str] = set()
        self._answered: dict[tuple[str, str], float] = {}
        self.shown: dict[tuple[str, Sha256], EffectInDoubt] = {}
        """Effects in doubt, by run and key."""
        self.said: Counter[str] = Counter()
        """How many escalations were answered with each action."""
        self.other: Counter[str] = Counter()
        """Reasons of escalations in which no effect was in doubt."""

    async def work(self) -> None:
        """Look for escalated runs, and see to each."""
        async with asyncio.TaskGroup() as group:
            while True:
                for workflow_id in await self._escalated():
                    if workflow_id not in self._busy:
                        self._busy.add(workflow_id)
                        group.create_task(self._see_to(workflow_id))
                await asyncio.sleep(1)

    async def _escalated(self) -> list[str]:
        try:
            return [found.id async for found in self._agents.temporal.list_workflows(_ESCALATED)]
        except RPCError:
            return []  # the server is being started again

    async def _see_to(self, workflow_id: str) -> None:
        try:
            status = await self._agents.status(workflow_id)
            if status.escalation and self._is_due(workflow_id, status.escalation):
                await self._answer(workflow_id, status.escalation)
            await asyncio.sleep(1)
        except (RPCError, WorkflowQueryFailedError, stripe.APIConnectionError):
            pass  # looked at again
        finally:
            self._busy.discard(workflow_id)

    def _is_due(self, workflow_id: str, escalation: Escalation) -> bool:
        answered = self._answered.get((workflow_id, escalation.id))
        return answered is None or asyncio.get_running_loop().time() - answered > _AGAIN

    async def _answer(self, workflow_id: str, escalation: Escalation) -> None:
        if escalation.effect is None:
            self.other[escalation.reason[:200]] += 1
            resolution = Resolution(action="guide", by=NAME, text="try again", escalation_id=escalation.id)
        else:
            self.shown[workflow_id, escalation.effect.key] = escalation.effect
            resolution = await self._found_out(workflow_id, escalation.id, escalation.effect)
        await self._agents.resolve(workflow_id, resolution)
        if (workflow_id, escalation.id) not in self._answered:
            self.said[resolution.action] += 1
        self._answered[workflow_id, escalation.id] = asyncio.get_running_loop().time()

    async def _found_out(self, workflow_id: str, escalation_id: str, effect: EffectInDoubt) -> Resolution:
        if random.Random(f"{self._seed}/{workflow_id}/{escalation_id}").random() < GIVES_UP:
            return Resolution(
                action="abort", by=NAME, text="no time to look into it", escalation_id=escalation_id
            )
        await asyncio.sleep(MAX_EFFECT_DELAY.total_seconds())
        order_id = str(effect.arguments["order_id"])
        made = await refunds_with(self._payments, self._charge_of(order_id), effect.key)
        if not made:
            return Resolution(action="did_not_happen", by=NAME, escalation_id=escalation_id)
        result = told(made[0], order_id).model_dump(mode="json")
        return Resolution(action="happened", by=NAME, result=result, escalation_id=escalation_id)
