"""``AgentflowPlugin``: all wiring of client, worker and replayer in one object.

It sets, on the client: the pydantic data converter, with external storage if there is one; a clean exit of
the interpreter; and the tracing interceptor if a tracer provider is set by then. On the worker and the
replayer besides: Temporal's sandbox with agentflow passed through, our errors as workflow failure types. On
the worker besides: the ``chat``, ``resolve_manifest``, ``record``, ``verify_approver`` and ``find_arrivals``
activities, an activity for each tool, ``reconcile_effect``, ``close_effect`` and ``identify_ledger`` for
those that write, ``guard_output`` with an output guard and ``notify`` with a notifier, each of which does
only what a run sealed, and the keys that runs seal with; checks that the server has the search attributes
and that the ledger can be used; the ledger's upkeep, and its word on what is forbidden now, which each
write asks for; the records of calls that outlive their attempts, whose end its shutdown waits for; gauges
of the runs that wait for people, where metrics are recorded; and as many activities at once as models and
tools that take their time ask for, unless the worker says otherwise.
"""

import importlib
import importlib.util
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal, cast, get_args

from temporalio.client import Interceptor as ClientInterceptor
from temporalio.converter import ExternalStorage
from temporalio.plugin import SimplePlugin
from temporalio.service import ConnectConfig, ServiceClient
from temporalio.worker import Interceptor as WorkerInterceptor
from temporalio.worker import ReplayerConfig, Worker, WorkerConfig

from agentflow.activity.answers import AnswerStore
from agentflow.activity.arrivals import find_arrivals
from agentflow.activity.blob_calls import BlobCalls
from agentflow.activity.canonical_calls import CanonicalCalls
from agentflow.activity.chat import ChatActivity
from agentflow.activity.execution import check_carried_out, tool_activity
from agentflow.activity.guards import GUARD_TIMEOUT, OutputGuardActivity, check_input
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.manifest import ManifestActivity, ModelRegistry, keys_of
from agentflow.activity.notices import NotifyActivity
from agentflow.activity.outliving import Keepers
from agentflow.activity.outside import OutsideTool
from agentflow.activity.permits import WritePermits
from agentflow.activity.reconcile import EffectActivities, PinBefore
from agentflow.activity.recording import record
from agentflow.activity.running import tasks_known
from agentflow.activity.sealed import Seals, Served, with_sealed
from agentflow.activity.state_parts import StateParts
from agentflow.activity.stops import StopReader
from agentflow.activity.transcripts import TranscriptStore
from agentflow.activity.verification import VerificationActivity
from agentflow.activity.worker_tool import WorkerTool
from agentflow.adapters.chains import first_run_of
from agentflow.adapters.history.pins import pin_before
from agentflow.adapters.history.tries import spent_before
from agentflow.adapters.ledger_purge import check_retention
from agentflow.adapters.ledger_upkeep import DEFAULT_RETENTION, ledger_kept
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.open_stores import warn_of_open_stores
from agentflow.adapters.recent_blobs import RecentBlobs
from agentflow.adapters.seal_keys import development_seal_keys, new_seal_keys
from agentflow.adapters.search_attributes import missing_search_attributes
from agentflow.adapters.stores import MAX_EXTERNAL_BYTES
from agentflow.adapters.waiting import waiting_measured
from agentflow.clean_exit import ensure_clean_exit
from agentflow.contracts import names
from agentflow.contracts.arrival import ArrivalInquiry
from agentflow.contracts.carried import StatePart, StatePartWanted
from agentflow.contracts.effects import EffectInquiry
from agentflow.contracts.guards import OutputCheck
from agentflow.contracts.identity import SignatureTerms
from agentflow.contracts.ledger import LedgerQuestion
from agentflow.contracts.manifest import MAX_PAYLOAD_BYTES, ManifestRequest
from agentflow.contracts.model import ChatRequest
from agentflow.contracts.notice import Notice
from agentflow.contracts.recorded import Recorded
from agentflow.contracts.rules import Tier
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.verification import VerificationRequest
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.converter import agentflow_data_converter
from agentflow.core.person import look_alikes
from agentflow.core.seal import SealKeys
from agentflow.errors import AgentflowError, ConfigurationError
from agentflow.plugin_options import check_length, check_port, check_sizes, check_tools, known
from agentflow.ports.approvers import ApproverSource, ApproverVerifier
from agentflow.ports.blobs import BlobStore
from agentflow.ports.guards import InputGuard, OutputGuard
from agentflow.ports.ledger import EffectLedger
from agentflow.ports.model import ModelClient
from agentflow.ports.notices import Notifier
from agentflow.ports.requesters import RequesterSource
from agentflow.ports.tooling import HasContract
from agentflow.start_checks import (
    announce,
    check_agents,
    tier_of_worker,
    warn_of_poor_agents,
    warn_of_unheld_roles,
)
from agentflow.telemetry import metrics
from agentflow.telemetry.content import SpanContent, captures_content
from agentflow.telemetry.redactor import Redactor
from agentflow.telemetry.spans import is_recording, is_replay_safe
from agentflow.workflow.children import ChildrenInterceptor
from agentflow.workflow.definition import definition_of, workflow_type_of
from agentflow.workflow.facts import activation_keeping_facts
from agentflow.workflow.sandbox import for_agents, passing_through
from agentflow.workflow.sealing import SealingInterceptor
from agentflow.workflow.sources import module_source

MAX_CONCURRENT_ACTIVITIES = 500
"""Activities that a worker has under way at once, unless it is told otherwise. They are coroutines, which
wait for models and tools most of their time: 100 slots, Temporal's default, are 100 slow models. Measured by
``python -m benchmarks.engine settings``."""

PLUGIN_SHUTDOWN_TIMEOUT = timedelta(seconds=60)
"""Temporal's default, after which it would stop what keeps a running call's record."""


class AgentflowPlugin(SimplePlugin):
    """Give it to ``Client.connect(plugins=[...])``: workers made from that client have it too."""

    def __init__(
        self,
        *,
        models: ModelRegistry | None = None,
        model_client: ModelClient | None = None,
        tools: Sequence[WorkerTool] = (),
        ledger: EffectLedger | None = None,
        ledger_retention: timedelta = DEFAULT_RETENTION,
        blobs: BlobStore | None = None,
        tier: Tier | None = None,
        search_attributes: Literal["require", "off"] = "require",
        external_storage: ExternalStorage | None = None,
        max_payload_bytes: int | None = None,
        input_guard: InputGuard | None = None,
        output_guard: OutputGuard | None = None,
        guard_timeout: timedelta = GUARD_TIMEOUT,
        approvers: ApproverSource | Literal["trusted"] | None = None,
        signature_terms: SignatureTerms | None = None,
        seals: SealKeys | None = None,
        requesters: RequesterSource | None = None,
        notifier: Notifier | None = None,
        redactor: Redactor | None = None,
        waiting_every: timedelta | None = timedelta(seconds=30),
    ) -> None:
        """Configure the parts. A client that only starts runs needs none of them.

        Args:
            models: The models that agents may name, with prices.
            model_client: Calls the models.
            tools: Tools this worker carries out: functions of one's own, and imported ones, made callable by
                ``OpenApiService`` or ``McpServer``.
            ledger: Record of side effects, and of what is forbidden now; needed as soon as a tool writes.
                Opened and closed by the caller.
            ledger_retention: How long the ledger keeps what has ended, a day at least. Longer than the
                longest run and the namespace's retention together: until then a reset may come back to a
                call.
            blobs: Store of transcripts; this process's memory by default.
            tier: The environment this worker runs in. Rules read it; callers can't set it. A worker that
                serves agents or tools must say it.
            search_attributes: ``require`` checks at start that the server has them (``agentflow
                setup`` registers them); ``off`` runs without.
            external_storage: Where single values go that are too big for history: ``open_external_storage``.
                Clients that read results need the same.
            max_payload_bytes: The longest single value that a run may send, pinned when it starts: by default
                1.9 MB, which is what Temporal takes, and 32 MiB with external storage.
            input_guard: Looks at each text before a model sees it.
            output_guard: Looks at each output before it leaves.
            guard_timeout: A guard that takes longer refuses.
            approvers: Whose signed decisions count, such as ``JwksFile``. ``trusted`` takes people at their
                word: whoever may signal a run may approve. That is the default, but in production it must be
                said.
            signature_terms: How long signatures may count, at most: 15 minutes of a decision, 7 days of a
                delegation, unless it says otherwise.
            seals: The fleet's keys, the same for every worker that serves runs or tools: activities do what
                is sealed with them, and nothing else, and believe no other record of the ledger. They must be
                given in production (``load_seal_keys``); elsewhere a worker makes a file for its machine.
            requesters: Whose word is taken for who asked for a run, such as ``SignedRequesters`` or
                ``HeaderRequesters``. A run whose requester can't be verified is then denied unless the
                source says otherwise. By default nobody's: runs read "not verified".
            notifier: Tells people outside of approvals and escalations, such as ``Webhook``.
            redactor: Takes out of details, memo and spans what is told by its form (cards, IBANs …), as what
                types mark always is; of spans also what its detectors find. One by default where
                ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for contents in spans.
            waiting_every: How often the worker measures which runs wait for people, where metrics are
                recorded; ``None`` leaves it to others.

        Raises:
            ConfigurationError: ``models`` without ``model_client`` or the reverse, or a tool that
                writes without a ledger, or one that may say more than a payload takes; two tools of one name,
                or one with arguments that its schema doesn't name; an unknown tier.
        """
        if (models is None) != (model_client is None):
            raise ConfigurationError("give AgentflowPlugin both models= and model_client=, or neither")
        self._models = models
        self._model_client = model_client
        self._seals = seals
        self._tier: Tier | None = None if tier is None else known("tier", tier, get_args(Tier))
        known("search_attributes", search_attributes, ("require", "off"))
        for name, port, value in (
            ("models", ModelRegistry, models),
            ("model_client", "chat", model_client),
            ("ledger", "insert", ledger),
            ("blobs", "put_all", blobs),
            ("input_guard", "check_input", input_guard),
            ("output_guard", "check_output", output_guard),
            ("approvers", "keys", None if approvers == "trusted" else approvers),
            ("notifier", "notify", notifier),
            ("redactor", Redactor, redactor),
            ("seals", SealKeys, seals),
            ("requesters", "policy", requesters),
        ):
            check_port(name, port, value)
        for name, length in (
            ("ledger_retention", ledger_retention),
            ("guard_timeout", guard_timeout),
            ("waiting_every", waiting_every),
        ):
            check_length(name, length)
        check_retention(ledger_retention)
        self._input_guard, self._output_guard = input_guard, output_guard
        self._guard_timeout = guard_timeout
        self._approvers = None if approvers == "trusted" else approvers
        self._requesters = requesters
        self._signature_terms = signature_terms or SignatureTerms()
        self._notifier = notifier
        self._waiting_every = waiting_every if search_attributes == "require" and models else None
        self._trusts_approvers = approvers == "trusted"
        self._search_attributes = search_attributes
        self._max_payload_bytes = max_payload_bytes or (
            MAX_EXTERNAL_BYTES if external_storage else MAX_PAYLOAD_BYTES
        )
        check_tools(tools)
        check_sizes(tools, self._max_payload_bytes)
        self._blobs: BlobStore = RecentBlobs(BlobCalls(blobs)) if blobs else MemoryBlobStore()
        self._imported = {tool.contract.name: tool for tool in tools if isinstance(tool, OutsideTool)}
        self._content = SpanContent(redactor or Redactor()) if captures_content() else None
        self._stores = (ledger, blobs, *(external_storage.drivers if external_storage else ()))
        self._redacts = redactor is not None or self._content is not None
        self._writes = [tool.contract.name for tool in tools if tool.contract.effect != "read"]
        self._ledger = ledger
        self._ledger_retention = ledger_retention
        self._stops = StopReader(ledger) if ledger is not None else None
        self._tools = tuple(tools)
        for tool in tools:
            check_carried_out(tool, has_ledger=ledger is not None)
        self._keepers = Keepers()
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - untyped there
            "agentflow.AgentflowPlugin",
            data_converter=replace(agentflow_data_converter, external_storage=external_storage),
            interceptors=_tracing_interceptors(),
            workflow_runner=passing_through,
            workflow_failure_exception_types=[AgentflowError],
        )

    async def connect_service_client(
        self, config: ConnectConfig, next: Callable[[ConnectConfig], Awaitable[ServiceClient]]
    ) -> ServiceClient:
        """Connect, and see to it that the process can exit cleanly afterwards."""
        ensure_clean_exit()
        return await next(config)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Add the activities; those of agents only where the worker has models."""
        ensure_clean_exit()
        config = super().configure_worker(config)
        settings = cast(dict[str, Any], config)
        workflows: Sequence[type] = settings.get("workflows") or ()
        works = bool(self._tools) or self._ledger is not None or self._models is not None
        tier = tier_of_worker(self._tier, works=works)
        keys = self._seals or (self._own_seals() if works else new_seal_keys())
        ledger = LedgerCalls(self._ledger, keys) if self._ledger is not None else None
        served = self._tools_served(ledger, partial(pin_before, settings["client"], keys))
        self._check_approvers(workflows)
        check_agents(workflows if works else (), tier)
        if self._models and self._model_client:
            if alike := look_alikes(workflow_type_of(kind) or kind.__name__ for kind in workflows):
                raise ConfigurationError(f"two agents look alike: {' and '.join(alike)}")
            chat = ChatActivity(
                self._model_client,
                TranscriptStore(self._blobs),
                AnswerStore(self._blobs, keys),
                guard=partial(check_input, self._input_guard, self._guard_timeout)
                if self._input_guard
                else None,
                content=self._content,
                price_of=self._models.price_of_answer,
                calls=CanonicalCalls(_tools_by_agent(workflows), self._tools),
                max_payload_bytes=self._max_payload_bytes,
            )
            manifest = ManifestActivity(
                self._models,
                tier,
                {kind.__name__: _source_hash(kind) for kind in workflows},
                search_attributes=self._search_attributes == "require",
                max_payload_bytes=self._max_payload_bytes,
                frozen_for=self._stops.frozen if self._stops else None,
                output_guard=self._output_guard is not None,
                approvers=self._approvers,
                signature_terms=self._signature_terms,
                imported=self._imported,
                notifies=self._notifier is not None,
                redacts=self._redacts,
                requesters=self._requesters,
                ledger=ledger,
                tries_before=partial(spent_before, settings["client"]),
            )
            states = StateParts(self._blobs)
            verification = VerificationActivity(_own_verifiers(workflows))
            served += [
                Served(names.CHAT_ACTIVITY, ChatRequest, chat.chat),
                Served(names.RESOLVE_MANIFEST_ACTIVITY, ManifestRequest, manifest.resolve_manifest),
                Served(names.VERIFY_APPROVER_ACTIVITY, VerificationRequest, verification.verify_approver),
                Served(names.FIND_ARRIVALS_ACTIVITY, ArrivalInquiry, find_arrivals),
                Served(names.RECORD_ACTIVITY, Recorded, record),
                Served(names.STORE_STATE_ACTIVITY, StatePart, states.store_state),
                Served(names.LOAD_STATE_ACTIVITY, StatePartWanted, states.load_state),
            ]
            if self._output_guard:
                guard = OutputGuardActivity(self._output_guard, self._guard_timeout)
                served.append(Served(names.GUARD_OUTPUT_ACTIVITY, OutputCheck, guard.guard_output))
            if self._notifier:
                served.append(Served(names.NOTIFY_ACTIVITY, Notice, NotifyActivity(self._notifier).notify))
        if served:
            seals = Seals(keys, partial(first_run_of, settings["client"]))
            settings["activities"] = with_sealed(settings.get("activities") or (), served, seals)
            settings["interceptors"] = [*(settings.get("interceptors") or ()), SealingInterceptor(keys)]
        settings["interceptors"] = [*(settings.get("interceptors") or ()), ChildrenInterceptor()]
        if (activate := settings.get("patch_activation_callback")) is not None:
            settings["patch_activation_callback"] = activation_keeping_facts(activate)
        if settings.get("tuner") is None and settings.get("max_concurrent_activities") is None:
            settings["max_concurrent_activities"] = MAX_CONCURRENT_ACTIVITIES
        if settings.get("plugin_shutdown_timeout") == PLUGIN_SHUTDOWN_TIMEOUT:
            # What outlives its attempt is waited for, and that is bounded by itself.
            settings["plugin_shutdown_timeout"] = None
        settings["workflow_runner"] = for_agents(
            settings["workflow_runner"], settings["client"].data_converter
        )
        return config

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """What a worker's workflows run with, without its activities."""
        ensure_clean_exit()
        config = super().configure_replayer(config)
        settings = cast(dict[str, Any], config)
        settings["interceptors"] = [*(settings.get("interceptors") or ()), SealingInterceptor(None)]
        settings["interceptors"].append(ChildrenInterceptor())
        converter = settings.get("data_converter") or agentflow_data_converter
        settings["workflow_runner"] = for_agents(settings["workflow_runner"], converter)
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """Check the server before the first task: a missing search attribute would spin every run."""
        if self._models and self._search_attributes == "require":
            await self._check_search_attributes(worker)
        workflows: Sequence[type] = cast(Any, worker.config()).get("workflows") or ()
        if self._models and self._approvers:
            warn_of_unheld_roles(workflows, await keys_of(self._approvers))
        if self._tier is not None:
            announce(
                self._tier,
                workflows,
                worker.task_queue,
                signed=self._approvers is not None,
                trusted=self._trusts_approvers,
            )
        if self._models and self._requesters:
            await self._requesters.policy()
        if self._models:
            await warn_of_poor_agents(workflows, self._models)
        warn_of_open_stores(*self._stores)
        for name in self._writes:
            metrics.may_be_unknown(name)
        self._keepers.place = cast(Any, worker.config()).get("identity") or worker.client.identity
        async with (
            ledger_kept(self._ledger, self._ledger_retention, worker.client, worker.task_queue),
            waiting_measured(worker.client, self._waiting_every),
        ):
            with tasks_known():
                try:
                    await super().run_worker(worker, next)
                finally:
                    await self._keepers.ended()

    def _tools_served(self, ledger: LedgerCalls | None, before: PinBefore) -> list[Served]:
        tier = tier_of_worker(self._tier, works=bool(self._tools))
        permits = WritePermits(self._stops, tier, self._approvers).permits
        served: list[Served] = [
            Served(
                tool.contract.name,
                ToolInvocation,
                tool_activity(tool, ledger, self._blobs, self._content, permits, keepers=self._keepers),
            )
            for tool in self._tools
        ]
        if ledger is not None:
            effects = EffectActivities(self._tools, ledger, self._keepers, before)
            served += [
                Served(names.RECONCILE_EFFECT_ACTIVITY, EffectInquiry, effects.reconcile),
                Served(names.CLOSE_EFFECT_ACTIVITY, EffectInquiry, effects.close),
                Served(names.IDENTIFY_LEDGER_ACTIVITY, LedgerQuestion, effects.identify),
            ]
        return served

    def _own_seals(self) -> SealKeys:
        if self._tier == "production":
            raise ConfigurationError(
                "in production, say which keys seal what runs tell their activities: make a file for all "
                "workers with `agentflow seal-keys init FILE`, and give seals=load_seal_keys(FILE)"
            )
        return development_seal_keys()

    def _check_approvers(self, workflows: Sequence[type]) -> None:
        """Nobody finds out in production that whoever may signal may approve."""
        if self._tier != "production" or self._approvers or self._trusts_approvers:
            return
        if self._writes or len(_own_verifiers(workflows)) < len(workflows):
            raise ConfigurationError(
                "in production, say whose decisions count: approvers=JwksFile(...) takes signed ones, and "
                'approvers="trusted" takes whoever may signal a run at their word; each write asks, so a '
                "worker that only serves tools needs it as well"
            )

    async def _check_search_attributes(self, worker: Worker) -> None:
        if missing := await missing_search_attributes(worker.client):
            raise ConfigurationError(
                f"namespace {worker.client.namespace} lacks the search attributes {', '.join(missing)}: run "
                f"`agentflow setup`, or pass search_attributes='off' to AgentflowPlugin"
            )


def _tracing_interceptors() -> list[ClientInterceptor | WorkerInterceptor]:
    """Temporal's tracing, where the application has set a tracer provider to record with.

    Without one no span would be recorded, and the interceptor would cost each call all the same. It needs the
    OpenTelemetry SDK to be importable. With a provider that can't record workflow code, calls are connected,
    and no more.
    """
    if not is_recording() or importlib.util.find_spec("opentelemetry.sdk") is None:
        return []
    module = importlib.import_module("temporalio.contrib.opentelemetry")
    return [module.OpenTelemetryInterceptor() if is_replay_safe() else module.TracingInterceptor()]


def _tools_by_agent(workflows: Sequence[type]) -> dict[str, Sequence[HasContract]]:
    """The tools of the agents, by workflow type."""
    return {
        workflow_type_of(kind) or kind.__name__: getattr(kind, "tools", ())
        for kind in workflows
        if definition_of(kind) is not None
    }


def _own_verifiers(workflows: Sequence[type]) -> dict[str, ApproverVerifier]:
    """Those of the agents that have one, by agent."""
    found = {kind.__name__: getattr(kind, "approver_verifier", None) for kind in workflows}
    return {name: verifier for name, verifier in found.items() if verifier is not None}


def _source_hash(workflow: type) -> Sha256:
    """Hash of an agent's module, its rules and the form of its answers: what the release is made of."""
    definition = definition_of(workflow)
    parts = [definition.rules_name.hash, definition.output_form.schema] if definition else []
    return sha256_of([module_source(workflow.__module__), *parts])
