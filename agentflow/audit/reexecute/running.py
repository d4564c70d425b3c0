"""Does a run again: on a server of its own, with recorded models, tools and people."""

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from agentflow.activity.manifest import ModelRegistry
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.history.finding import first_of
from agentflow.adapters.requesters import SignedRequesters
from agentflow.adapters.seal_keys import new_seal_keys
from agentflow.adapters.signer import Signer
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.audit.reading import RunFindings, findings_of
from agentflow.audit.reexecute.comparing import Pair, Side, pairs, side_of
from agentflow.audit.reexecute.recorded_model import RecordedModel, recorded_answers
from agentflow.audit.reexecute.recorded_people import PeopleRecord
from agentflow.audit.reexecute.recorded_tools import Guess, RecordedTool, ToolRecord
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import SelectedRun, from_server
from agentflow.client import AgentClient
from agentflow.contracts.attention import Attention
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.manifest import Manifest
from agentflow.contracts.model import ModelPrice
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.contracts.task import AgentTask
from agentflow.contracts.wire import Json
from agentflow.core.durations import checked
from agentflow.errors import AuditError
from agentflow.plugin import AgentflowPlugin
from agentflow.ports.model import ModelClient
from agentflow.ports.prices import PriceBook
from agentflow.workflow.agent import AgentWorkflow
from agentflow.workflow.definition import AgentDefinition, definition_of

TASK_QUEUE = "reexecution"
TIMEOUT = timedelta(minutes=10)
BY = "re-execution"
_MOMENT = 0.05


@dataclass(frozen=True)
class Again:
    """How the run is done again."""

    agent: type[AgentWorkflow[Any, Any]]
    model: str | None = None
    """``provider:model`` in place of what the run used; ``None`` is the same."""
    live: ModelClient | None = None
    """Asked what the recorded run did not ask."""
    prices: PriceBook | None = None
    """Of models that the run did not use."""
    timeout: timedelta = TIMEOUT

    def __post_init__(self) -> None:
        checked("timeout", self.timeout)


@dataclass
class Reexecution:
    """The two runs."""

    workflow_id: str
    recorded: Side
    now: Side
    pairs: list[Pair]
    answers_recorded: int
    answers_anew: int
    guesses: list[Guess]
    """Writes that the recorded run did not make: none was made, and the model was told this."""
    unknown_reads: list[tuple[str, Mapping[str, Json]]]
    stopped_for: str | None = None
    """What nobody had decided in the recorded run; the run was ended there."""

    @property
    def is_same(self) -> bool:
        """Whether the same was decided, and it ended the same."""
        ends = (self.recorded.status, self.recorded.output), (self.now.status, self.now.output)
        return ends[0] == ends[1] and all(pair.is_same for pair in self.pairs)


async def reexecute(
    run: SelectedRun,
    again: Again,
    converter: DataConverter,
    recorded_by: ReplayedRuns,
    runtime: Runtime | None = None,
) -> Reexecution:
    """Do a run again.

    Args:
        run: As it was recorded.
        again: With what it is done.
        converter: That its payloads need.
        recorded_by: Replays it, for what it decided.
        runtime: Temporal's.

    Raises:
        AuditError: it is no run of an agent, its beginning is gone, or it doesn't come to an end.
        MissingExtraError: there is no ``temporal`` binary.
    """
    found = await findings_of(run, converter, recorded_by)
    story = found.story
    started = first_of(found.findings, "started")
    if story.manifest is None or started is None or "input" not in started.contents:
        raise AuditError(f"{run.workflow_id} can't be done again: its task or its manifest isn't recorded")
    answers = await recorded_answers(run.executions, converter, story.manifest.root)
    model, tools = RecordedModel(answers, again.live), ToolRecord.of(found.findings)
    people = PeopleRecord.of(found.findings)
    task = AgentTask[Any].model_validate(
        {
            "input": started.contents["input"],
            **{
                name: started.facts[name]
                for name in ("requested_by", "tenant", "customer_tier", "budget")
                if name in started.facts
            },
        }
    )
    # Who asked then, asked now: whoever does a run again takes the record's word for it.
    signer = Signer.generate("record") if started.facts.get("requester") in ("token", "header") else None
    stage = _Stage(again, story.manifest, model, tools, people, runtime, signer)
    now = await stage.run(task, run.workflow_id)
    recorded_side, now_side = side_of(found.findings), side_of(now.findings)
    return Reexecution(
        workflow_id=run.workflow_id,
        recorded=recorded_side,
        now=now_side,
        pairs=pairs(recorded_side, now_side),
        answers_recorded=model.recorded,
        answers_anew=model.anew,
        guesses=tools.guesses,
        unknown_reads=tools.unknown_reads,
        stopped_for=stage.stopped_for,
    )


@dataclass
class _Stage:
    again: Again
    manifest: Manifest
    model: RecordedModel
    tools: ToolRecord
    people: PeopleRecord
    runtime: Runtime | None
    signer: Signer | None
    """Of the start, where it was verified who asked."""
    stopped_for: str | None = field(default=None, init=False)
    _settled: set[str] = field(default_factory=set[str], init=False)
    """Approvals and escalations that people have said all of."""

    @property
    def _definition(self) -> AgentDefinition[Any]:
        definition = definition_of(self.again.agent)
        assert definition is not None  # it is an agent
        return definition

    async def run(self, task: AgentTask[Any], workflow_id: str) -> RunFindings:
        """From the task to the outcome, and what its history tells."""
        contracts = list(self._definition.catalog.contracts.values())
        async with AsyncExitStack() as stack:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = await stack.enter_async_context(
                DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES, log_level="never")
            )
            plugin = AgentflowPlugin(
                models=self._registry(),
                model_client=self.model,
                tools=[RecordedTool(contract, self.tools) for contract in contracts],
                ledger=SQLiteLedger(place / "ledger.sqlite"),
                tier=self.manifest.tier,
                approvers="trusted",
                seals=new_seal_keys(),
                requesters=SignedRequesters(_Anybody(self.signer)) if self.signer else None,
            )
            client = await Client.connect(server.address, plugins=[plugin], runtime=self.runtime)
            # Where tools have a queue of their own, they are carried out there.
            queues = {TASK_QUEUE, *(contract.options.task_queue or TASK_QUEUE for contract in contracts)}
            for queue in queues:
                await stack.enter_async_context(
                    Worker(client, task_queue=queue, workflows=[self.again.agent])
                )
            agents = AgentClient(client)
            run = await agents.start(
                self.again.agent, task, task_queue=TASK_QUEUE, workflow_id=workflow_id, signer=self.signer
            )
            try:
                async with asyncio.timeout(self.again.timeout.total_seconds()):
                    await self._to_its_end(agents, run)
            except TimeoutError:
                raise AuditError(f"{workflow_id} did not end within {self.again.timeout}") from None
            replayed = await stack.enter_async_context(
                ReplayedRuns([self.again.agent], client.namespace, runtime=self.runtime)
            )
            (selected,) = [each async for each in from_server(client, [(run, None)])]
            return await findings_of(selected, client.data_converter, replayed)

    async def _to_its_end(self, agents: AgentClient, run: str) -> None:
        handle = agents.temporal.get_workflow_handle(run)
        while (attention := await self._attention(agents, run)) is not None:
            if not await self._answered(agents, run, attention):
                await agents.cancel(run)
                break
        await handle.result()

    @staticmethod
    async def _attention(agents: AgentClient, run: str) -> Attention | None:
        """What it needs people for; ``None`` once it has ended."""
        try:
            attention = await agents.attention(run)
        except RPCError as error:
            # It ended while it was asked.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return None if attention.state == "ended" else attention

    async def _answered(self, agents: AgentClient, run: str, attention: Attention) -> bool:
        """Say what people said; whether they had said anything."""
        escalation = attention.escalation
        if escalation is not None and escalation.id not in self._settled:
            self._settled.add(escalation.id)
            if not await self.people.resolve(agents, run, escalation.id):
                self._stop(f"a person would have to take over: {escalation.reason}")
                await agents.resolve(run, Resolution(action="abort", by=BY, text="nobody took over then"))
            return True
        waiting = [request for request in attention.approvals if request.id not in self._settled]
        for request in waiting:
            receipt = await self.people.decide(agents, run, request)
            if receipt is not None:
                if receipt.status != "pending":
                    self._settled.add(request.id)
                return True
        if not waiting:
            # It has heard, and has not gone on yet.
            await asyncio.sleep(_MOMENT)
            return True
        asked = ", ".join(request.tool for request in waiting)
        agreed = [f"{name} on {request.tool}" for request in waiting for name in request.approved_by]
        had = f"only {', '.join(agreed)} had agreed" if agreed else "nobody had decided on that"
        self._stop(f"people would be asked about {asked}, and {had}")
        return False

    def _stop(self, why: str) -> None:
        self.stopped_for = self.stopped_for or why

    def _registry(self) -> ModelRegistry:
        """The models of the run, at the prices that it was pinned to; the one asked for, in their place."""
        own = {spec.name: spec for spec in self.manifest.models}
        names = self._definition.models
        first = self.manifest.models[0].name
        # An alias stands for what it stood for then.
        aliases = {name: self.again.model or first for name in names if self.again.model or ":" not in name}
        return ModelRegistry(
            prices=_Prices({name: spec.price for name, spec in own.items()}, self.again.prices),
            aliases=aliases,
            constrained=frozenset(name for name, spec in own.items() if spec.tool_calling == "constrained"),
            context_tokens={name: spec.context_tokens for name, spec in own.items() if spec.context_tokens},
        )


@dataclass(frozen=True)
class _Anybody:
    """A key that starts runs for everybody."""

    signer: Signer

    async def keys(self) -> tuple[ApproverKey, ...]:
        return (self.signer.public().model_copy(update={"subjects": ("*",)}),)


@dataclass(frozen=True)
class _Prices:
    recorded: Mapping[str, ModelPrice]
    more: PriceBook | None

    def price(self, model: str) -> ModelPrice | None:
        return self.recorded.get(model) or (self.more.price(model) if self.more else None)

    def context_tokens(self, model: str) -> int | None:
        return self.more.context_tokens(model) if self.more else None
