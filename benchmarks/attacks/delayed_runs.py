"""One run that pays, taken to the place where it is when its payment is forbidden, and on from there."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from agentflow import AgentClient, AgentOutcome, AgentTask, Resolution
from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.contracts.attention import Attention
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.messages import AssistantMessage, ToolMessage, UserMessage
from agentflow.contracts.model import ModelCall
from agentflow.errors import DecisionRefusedError
from agentflow.testing import answer, call
from benchmarks.attacks.late_bank import TOOLS, Failing, Gate, LateBank, Plan
from benchmarks.attacks.payers import LongPayer, Payer
from benchmarks.attacks.signers import EDITS, People

FREEZES = ("fleet", "agent", "tenant", "unfrozen by signal", "ended in Temporal")
SWITCHES = ("tier", "trusted", "signed", "both")
"""``both``: workers of either kind share the task queue all the time."""
REVOCATIONS = ("key", "delegation", "revoked", "key by signal", "delegation by signal")
GROUPS = {
    "freeze": FREEZES,
    "switch": SWITCHES,
    "revocation": REVOCATIONS,
    "role change": tuple(event for event in EDITS if event != "revoked"),
}
SERVED = ("requested", "consented", "consenting", "under way", "under way", "continued as new")
UNSERVED = ("scheduled", "in one task")
"""Places of a run whose worker is down."""
PATIENCE = 60
"""Seconds in which each step of a run is done, or the run is stuck."""


@dataclass(frozen=True)
class Schedule:
    """What is drawn for one run."""

    event: str
    place: str
    tool: str
    failing: Failing
    delegated: bool
    second: bool
    """Whether the second of the two consents is meant."""
    early: bool
    """Whether what may come before the event or after it comes before."""
    told: bool
    """Whether the run is told of a freeze by signal."""
    again: bool
    """Whether the model asks for the payment again when it was not made."""

    @classmethod
    def draw(cls, random: Random, event: str, place: str) -> "Schedule":
        """A run for an event and a place."""
        under_way = place == "under way"
        return cls(
            event=event,
            place=place,
            tool=random.choice(TOOLS),
            failing=random.choice(("before it pays", "after it paid")) if under_way else "",
            delegated=event.startswith("delegation") or (event != "signed" and random.random() < 0.2),
            second=not event.startswith("delegation") and random.random() < 0.4,
            early=random.random() < 0.5,
            told=random.random() < 0.3,
            again=random.random() < 0.5,
        )

    @property
    def kind(self) -> str:
        """Of its attempt."""
        group = next(name for name, events in GROUPS.items() if self.event in events)
        return f"run: {group}, {self.place}"


def speak(asked: ModelCall) -> AssistantMessage:
    """Pay as the task says, once more if that failed and the task says so, and be done."""
    first, last = asked.messages[0], asked.messages[-1]
    assert isinstance(first, UserMessage)
    account, tool, *again = first.text.split()
    turns = sum(message.kind == "assistant" for message in asked.messages)
    failed = isinstance(last, ToolMessage) and last.is_error
    if turns == 0 or (turns == 1 and failed and again):
        return call(tool, account=account, amount="600.00")
    return answer("done")


@contextmanager
def unless_ended() -> Iterator[None]:
    """Of a run that has ended, nothing is asked any more."""
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


@dataclass
class LateRun:
    """A run under attack."""

    schedule: Schedule
    number: int
    agents: Callable[[], AgentClient]
    """Of the worker that is up."""
    banks: tuple[LateBank, LateBank]
    """Of the worker that takes people at their word, and of the one that wants signatures: mostly one."""
    people: People
    wrong: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])
    """Decisions that did not count."""
    judged_at: float = 0.0

    def __post_init__(self) -> None:
        self.account, self.gate = f"a{self.number}", Gate()
        self.bank, self.elsewhere = self.banks
        plan = Plan(self.schedule.failing)
        if self.schedule.failing:
            plan.under_way = self.gate
        self.bank.plans[self.account] = plan
        first = self.people.zoe if self.schedule.delegated else self.people.ann
        self.victim: Signer = self.people.bob if self.schedule.second else first
        self.request: ApprovalRequest | None = None
        self.signed = False
        """Whether its people sign."""
        self.id = ""

    @property
    def tenant(self) -> str:
        """It is the only run of its tenant."""
        return f"tenant-{self.number}"

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """Its handle, at the worker that is up."""
        temporal = self.agents().temporal
        return temporal.get_workflow_handle(self.id, result_type=AgentOutcome[Any])

    # ------------------------------------------------------------ before the event

    async def begin(self, task_queue: str) -> None:
        """Take it to its place, as far as a worker must be up for that."""
        again = " again" if self.schedule.again else ""
        task = AgentTask(
            input=f"{self.account} {self.schedule.tool}{again}", requested_by="inbox", tenant=self.tenant
        )
        agent = LongPayer if self.schedule.place == "continued as new" else Payer
        self.id = await self.agents().start(
            agent, task, task_queue=task_queue, workflow_id=f"late-{task_queue}-{self.number}"
        )
        self.request = (await self.agents().attention(self.id)).approvals[0]
        # Whichever worker began it has pinned it to its kind.
        self.signed = self.request.identity == "signed"
        self.elsewhere, self.bank = self.banks if self.signed else reversed(self.banks)
        if self.schedule.place in ("consented", "consenting", "under way", "continued as new", "scheduled"):
            await self.first_consents()
        match self.schedule.place:
            case "under way":
                await self.second_consents()
                await self.gate.reached.wait()
            case "continued as new" if self.schedule.early:
                await self._continued()
            case _:
                pass

    async def scheduled(self) -> None:
        """The payment is scheduled, and nobody carries it out."""
        if self.schedule.place != "scheduled":
            return
        await self.second_consents()
        while True:
            described = (await self.handle.describe()).raw_description
            if any(each.activity_type.name in TOOLS for each in described.pending_activities):
                return
            await asyncio.sleep(0.05)

    async def left_to_itself(self, *, early: bool) -> None:
        """People say yes while no worker is up to hear it."""
        if self.schedule.place == "in one task" and self.schedule.early == early:
            for decision in (self._first(), self._second()):
                await self.handle.signal("approve", decision.model_dump(mode="json"))

    async def signal(self, name: str, payload: Any) -> None:
        """Tell it something, if it has not ended in time."""
        with unless_ended():
            await self.handle.signal(name, payload)

    # ------------------------------------------------------------ after the event

    async def go_on(self) -> None:
        """Let happen what would have made the payment."""
        self.gate.opened.set()
        if self.schedule.place == "continued as new" and not self.schedule.early:
            await self._continued()
        if self.schedule.place == "requested":
            await self.first_consents()
        if self.schedule.place in ("requested", "consented", "continued as new"):
            await self.second_consents()

    async def judge(self, held: float, words: Collection[str]) -> None:
        """Say what is wrong with where it stands: paid in vain, or not paid and nobody knows why."""
        attention = await self._attention()
        self.judged_at = time.monotonic()
        begun = self.bank.begun[self.account]
        self.wrong += [f"attempt {one.attempt} began when it was forbidden" for one in begun if one.at > held]
        if self.elsewhere is not self.bank and self.elsewhere.begun[self.account]:
            self.wrong.append("a worker of another kind made it")
        if self.bank.paid[self.account]:
            return
        lines = await self.agents().decisions(self.id)
        said = [line.detail for line in lines if not line.accepted or line.subject == "revocation"]
        reasons = " ".join(
            [*said, *self.refused, attention.escalation.reason if attention.escalation else ""]
        )
        in_doubt = attention.escalation is not None and attention.escalation.effect is not None
        if not in_doubt and not any(word in reasons for word in words):
            self.wrong.append(f"nothing says why it was not made ({words}): {reasons}")

    async def finish(self) -> None:
        """Bring it to its end: nothing of it is lost."""
        left = 12
        while (attention := await self._attention()).state != "ended":
            await self._answered(attention)
            left -= 1
            if not left:
                self.wrong.append(f"it could not be finished: {attention}")
                return
        outcome: AgentOutcome[Any] = await self.handle.result()
        if outcome.status != "completed":
            self.wrong.append(f"it ended as {outcome.status}")
        self.wrong += self._afterwards(outcome)

    def _afterwards(self, outcome: AgentOutcome[Any]) -> Iterator[str]:
        """What the end says, against what the bank says."""
        told = sum(one.effect == "done" for one in outcome.tool_calls)
        if told != len(self.bank.paid[self.account]):
            yield f"{told} payments told, and {len(self.bank.paid[self.account])} made"
        later = {one.key for one in self.bank.begun[self.account] if one.at > self.judged_at}
        if len(later) > int(self.schedule.again):
            yield f"{len(later)} payments began afterwards"

    async def _attention(self) -> Attention:
        """What it needs people for, or that it has ended."""
        with unless_ended():
            return await self.agents().attention(self.id)
        return Attention(state="ended")

    # ------------------------------------------------------------ people

    async def first_consents(self) -> None:
        """The first of two says yes."""
        await self._decide(self._first())

    async def consents_meanwhile(self) -> None:
        """The second says yes while it happens."""
        if self.schedule.place == "consenting":
            await self.second_consents()

    async def second_consents(self) -> None:
        """The second of two says yes."""
        await self._decide(self._second())

    def _first(self) -> ApprovalDecision:
        delegation = self.people.delegation if self.schedule.delegated else None
        return self._decision(self.people.ann, "approve", delegation)

    def _second(self) -> ApprovalDecision:
        return self._decision(self.people.bob, "approve")

    def _decision(self, by: Signer, verdict: Any, delegation: str | None = None) -> ApprovalDecision:
        assert self.request is not None
        if self.signed:
            return by.decision(self.request, verdict, delegation=delegation)
        return ApprovalDecision(approval_id=self.request.id, by=by.subject, verdict=verdict)

    async def _decide(self, decision: ApprovalDecision) -> None:
        try:
            with unless_ended():
                await self.agents().decide(self.id, decision)
        except DecisionRefusedError as error:
            self.refused.append(str(error))

    async def _answered(self, attention: Attention) -> None:
        """Those whose word still counts answer what a run asks."""
        helpers = (self.people.cy, self.people.dan)
        if (escalation := attention.escalation) is not None:
            for helper in helpers[: escalation.quorum.people]:
                with unless_ended():
                    await self.agents().resolve(self.id, self._resolution(helper, escalation))
            return
        self.request = attention.approvals[0]
        if not self.schedule.again:
            await self._decide(self._decision(helpers[1], "reject"))
            return
        missing = self.request.quorum.people - len(self.request.approved_by)
        for helper in helpers[:missing]:
            await self._decide(self._decision(helper, "approve"))

    def _resolution(self, by: Signer, escalation: Escalation) -> Resolution:
        said = Resolution(action="guide", by=by.subject, text="go on")
        if escalation.effect is not None:
            was_paid = escalation.effect.key in self.bank.paid[self.account]
            said = Resolution(action="did_not_happen", by=by.subject)
            if was_paid:
                said = Resolution(action="happened", by=by.subject, result=f"paid {self.account}")
        return by.resolution(escalation, said) if self.signed else said

    async def _continued(self) -> None:
        """Strays make its history long, so that it continues as new while it waits."""
        stray = {"approval_id": "approval-99", "by": "stranger", "reason": "x" * 500}
        before = (await self.handle.describe()).run_id
        while (await self.handle.describe()).run_id == before:
            await self.handle.signal("approve", stray)
            await asyncio.sleep(0.02)
