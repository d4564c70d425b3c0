"""The person who answers the runs' escalations, as an operator would.

They find escalated runs by the search attribute, wait until nothing that was asked of payments can still be
under way, look at payments directly, and say what they see. Now and then they give up without looking.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import stripe
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError

from activities.payments import Payments
from agentflow import AgentClient, Resolution
from agentflow.contracts.effects import EarlierEffect
from agentflow.contracts.escalation import EffectInDoubt, Escalation, ResolutionAction
from agentflow.contracts.names import AGENT_STATUS
from agentflow.contracts.wire import Json, Sha256
from benchmarks.chaos.runs import PlannedRun
from benchmarks.chaos.timing import MAX_EFFECT_DELAY, OUTLIVING, REFUND_OPTIONS
from benchmarks.chaos.tools import refunds_with, told

NAME = "paula"
GIVES_UP = 0.08
"""How often an effect in doubt of a plain run is not looked into."""
AGAIN = 0.5
"""How often what an earlier run of the workflow id did is to be done again."""
_ESCALATED = f"{AGENT_STATUS} = 'escalated' AND ExecutionStatus = 'Running'"
_AGAIN = 20.0
"""Seconds after which an answer that has not counted is given again."""


_LEASE = MAX_EFFECT_DELAY + REFUND_OPTIONS.start_to_close_timeout


@dataclass(frozen=True)
class Question:
    """An escalation, and what the person answered."""

    workflow_id: str
    reason: str
    effect: EffectInDoubt | None
    """The write that it is about."""
    answer: ResolutionAction


class Person:
    """Answers until cancelled."""

    def __init__(
        self, agents: AgentClient, payments: Payments, runs: Callable[[str], PlannedRun], seed: int
    ) -> None:
        """Describe the person.

        Args:
            agents: Where they look and answer.
            payments: Where they look, past all proxies.
            runs: A run, by its workflow id.
            seed: Decides on what can be answered in two ways.
        """
        self._agents = agents
        self._payments = payments
        self._runs = runs
        self._seed = seed
        self._busy: set[str] = set()
        self._answered: dict[tuple[str, str], float] = {}
        self.questions: dict[tuple[str, str], Question] = {}
        """All that was asked and answered."""

    @property
    def shown(self) -> set[tuple[str, Sha256]]:
        """Effects in doubt, by run and key."""
        return {
            (question.workflow_id, question.effect.key)
            for question in self.questions.values()
            if question.effect
        }

    async def work(self) -> None:
        """Look for escalated runs, and see to each."""
        async with asyncio.TaskGroup() as group:
            while True:
                for workflow_id in await self._escalated():
                    if workflow_id not in self._busy:
                        self._busy.add(workflow_id)
                        group.create_task(self._see_to(workflow_id))
                await asyncio.sleep(1)

    async def has_a_question(self, workflow_id: str) -> bool:
        """Whether a run waits for an answer that this person has not given yet."""
        try:
            status = await self._agents.status(workflow_id)
        except (RPCError, WorkflowQueryFailedError):
            return False
        open_one = status.escalation
        return open_one is not None and _named(workflow_id, open_one) not in self._answered

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
        answered = self._answered.get(_named(workflow_id, escalation))
        return answered is None or asyncio.get_running_loop().time() - answered > _AGAIN

    async def _answer(self, workflow_id: str, escalation: Escalation) -> None:
        effect = escalation.effect
        if effect is None:
            resolution = Resolution(action="guide", by=NAME, text="try again", escalation_id=escalation.id)
        elif effect.earlier is not None:
            resolution = await self._whether_it_counts(workflow_id, escalation.id, effect, effect.earlier)
        else:
            resolution = await self._found_out(workflow_id, escalation.id, effect)
        await self._agents.resolve(workflow_id, resolution)
        name = _named(workflow_id, escalation)
        self.questions[name] = Question(workflow_id, escalation.reason[:300], effect, resolution.action)
        self._answered[name] = asyncio.get_running_loop().time()

    async def _found_out(self, workflow_id: str, escalation_id: str, effect: EffectInDoubt) -> Resolution:
        if (
            self._runs(workflow_id).scenario == "plain"
            and self._chance(workflow_id, escalation_id) < GIVES_UP
        ):
            return Resolution(
                action="abort", by=NAME, text="no time to look into it", escalation_id=escalation_id
            )
        await asyncio.sleep(MAX_EFFECT_DELAY.total_seconds())
        if "still running on worker" in effect.detail:
            # Nothing can be said of it before it has ended.
            await asyncio.sleep(OUTLIVING.total_seconds())
        result = await self._result(workflow_id, effect.key)
        if result is None:
            return Resolution(action="did_not_happen", by=NAME, escalation_id=escalation_id)
        return Resolution(action="happened", by=NAME, result=result, escalation_id=escalation_id)

    async def _whether_it_counts(
        self, workflow_id: str, escalation_id: str, effect: EffectInDoubt, earlier: EarlierEffect
    ) -> Resolution:
        if earlier.state == "intended":
            await asyncio.sleep(_LEASE.total_seconds())
        result = await self._result(workflow_id, earlier.key)
        is_wanted = (
            self._runs(workflow_id).scenario == "reused" and self._chance(workflow_id, "again") < AGAIN
        )
        if result is None or is_wanted:
            return Resolution(action="again", by=NAME, escalation_id=escalation_id)
        told_result = None if earlier.state == "done" else result
        return Resolution(action="count", by=NAME, result=told_result, escalation_id=escalation_id)

    async def _result(self, workflow_id: str, key: Sha256) -> Json:
        """The refund of a key as the tool would have answered it; ``None`` if payments have none."""
        run = self._runs(workflow_id)
        made = await refunds_with(self._payments, run.charge_id, key)
        return told(made[0], run.task.order_id).model_dump(mode="json") if made else None

    def _chance(self, *of: str) -> float:
        return random.Random("/".join((str(self._seed), *of))).random()


def _named(workflow_id: str, escalation: Escalation) -> tuple[str, str]:
    """Names a question: the id of an escalation comes again in the next run of a workflow id."""
    about = escalation.effect.key if escalation.effect else escalation.run
    return workflow_id, f"{escalation.id}/{about}"
