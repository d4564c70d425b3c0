"""One run, as its workflow holds it: what it is pinned to, what it has done, what it shows.

Only ``core`` makes new states; this is where they are kept, and where the world is told of them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from temporalio import workflow

from agentflow.contracts.attention import Attention
from agentflow.contracts.escalation import RunStatus
from agentflow.contracts.identity import ApproverKey, SignatureTerms
from agentflow.contracts.loops import Circles
from agentflow.contracts.manifest import MAX_PAYLOAD_BYTES, Manifest, SpentBefore
from agentflow.contracts.names import FREEZE_SIGNAL, SETTLED_USD, UNFREEZE_SIGNAL
from agentflow.contracts.outcome import Evidence, ToolCallSummary
from agentflow.contracts.requester import Requester, RequesterProof
from agentflow.contracts.rules import DecisionRecord, Subject, Tier
from agentflow.contracts.tags import ToldValues
from agentflow.contracts.task import AgentTask
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.budget import Purse, tightest
from agentflow.core.consents import gone_keys
from agentflow.core.freeze import FreezeVerb, hear
from agentflow.core.frozen_json import frozen
from agentflow.core.idempotency import run_fingerprint
from agentflow.core.named import Named
from agentflow.core.provenance import PastCall, Provenance
from agentflow.core.record import DecisionLog, has_no_effect
from agentflow.core.requester import NOT_SIGNED
from agentflow.core.task_input import input_of
from agentflow.core.transcript import Transcript, tool_text
from agentflow.core.view import RunView, details
from agentflow.errors import AgentflowError
from agentflow.telemetry.logs import RunLog
from agentflow.telemetry.metrics import RunMetrics
from agentflow.workflow.arrivals import HeardSignal
from agentflow.workflow.definition import AgentDefinition
from agentflow.workflow.hearing import not_judged
from agentflow.workflow.identities import Identities
from agentflow.workflow.known_effects import KnownEffects
from agentflow.workflow.lineage import Lineage
from agentflow.workflow.notices import Notices
from agentflow.workflow.outgoing import Outgoing
from agentflow.workflow.people import People
from agentflow.workflow.pinning import as_pinned, lacking
from agentflow.workflow.redaction import RunRedaction
from agentflow.workflow.sealed_calls import CallNames
from agentflow.workflow.signal_queue import SignalQueue
from agentflow.workflow.soon import Soon
from agentflow.workflow.visibility import Standing, Visibility
from agentflow.workflow.witness import Witness

_UNPINNED = Sha256("0" * 64)
"""Root of the transcript before the manifest is there; nothing is said until then."""


class Run:
    """The state of one run. A new one for each workflow instance, replayed ones included."""

    requester: Requester | None = None
    """Who asked for the run, once that was looked into."""
    task_input: Json = None
    """The task's input as JSON, for rules and for the approver's page, once the run is pinned."""
    has_begun: bool = False
    """Whether the task, and what an execution before this one knew, has been taken up."""
    _is_crowded: bool = False
    """Whether the signal that is taken is one of so many that what has no effect is counted only."""
    other_models: frozenset[tuple[str, str]] = frozenset()
    """Models that were asked, and others that answered for them, as the decision log has it."""

    def __init__(self, definition: AgentDefinition[Any]) -> None:
        self._present = definition
        self.definition: AgentDefinition[Any] = definition
        """What the run is pinned to, once it is; until then its worker's class."""
        self.redaction: RunRedaction = RunRedaction(definition)
        self.log: RunLog = RunLog(self.redaction.text)
        self.metrics: RunMetrics = RunMetrics(definition.name)
        self.calls: CallNames = CallNames(Outgoing(lambda: self.max_payload_bytes), lambda: self.purse.funds)
        self.show_soon: Soon = Soon(self.show)
        self.signals: SignalQueue = SignalQueue(self._on_signal, self._count_one_more)
        """What people send."""
        self.people: People = People(
            Identities(definition.name, definition.verifier_method, self.calls),
            self.record,
            self.show,
            self.signals,
        )
        self.witness: Witness | None = None
        """Watches from outside of the run, where somebody does."""
        self._purse = Purse(definition.budget)
        self.transcript: Transcript = Transcript(_UNPINNED)
        self.past_calls: tuple[PastCall, ...] = ()
        self.provenance: Provenance = Provenance()
        """What the run may take at its word."""
        self.guidance: tuple[Json, ...] = ()
        """What people said who took over."""
        self.effects: KnownEffects = KnownEffects()
        self.lineage: Lineage = Lineage()
        self.circles: Circles = Circles()
        """How the run goes in circles."""
        self.frozen: tuple[str, ...] = ()
        """The freezes that the run has heard of, so that the rules deny at once what its activity would
        refuse. What is frozen, the effect ledger says to each write."""
        self.summaries: tuple[ToolCallSummary, ...] = ()
        self.evidence: tuple[Evidence, ...] = ()
        self.models_used: frozenset[str] = frozenset()
        self.turn = self.call_index = 0
        self.decision_log: DecisionLog = DecisionLog()
        self.briefs_sent: frozenset[Sha256] = frozenset()
        """Names of the briefs that are in this execution's history in full."""
        self.parent_brief: Sha256 | None = None
        """Names the brief that the transcript's last node was answered with, in this execution."""
        self.measured: tuple[int, int] | None = None
        """Input tokens of the last model call as the provider counted them, and the bound on them."""
        self.started_at: datetime = workflow.info().start_time
        """When the first execution began."""
        self.executions: int = 0
        """How many were before this one."""
        self._task: AgentTask[Any] | None = None
        self._manifest: Manifest | None = None
        self._state, self._detail = "starting", ""
        self._outcome: str | None = None
        self.one_escalation: asyncio.Lock = asyncio.Lock()
        self.visibility: Visibility = Visibility()
        self.notices: Notices = Notices(lambda why: self.note("notice", False, why), self.calls.outgoing)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the run is pinned to and its worker's class doesn't have."""
        return lacking(self.definition, self._present)

    @property
    def purse(self) -> Purse:
        """What may be spent, and what is."""
        return self._purse

    @purse.setter
    def purse(self, purse: Purse) -> None:
        before, self._purse = self._purse, purse
        if self.witness is not None:
            self.witness.spent(before, purse)

    @property
    def manifest(self) -> Manifest:
        """What the run is pinned to.

        Raises:
            AgentflowError: the run has not started.
        """
        if self._manifest is None:
            raise AgentflowError("the run has not started: call it from within run_agent")
        return self._manifest

    @property
    def tier(self) -> Tier | None:
        """The environment that the run is pinned to; ``None`` before it is."""
        return self._manifest.tier if self._manifest else None

    @property
    def max_payload_bytes(self) -> int:
        """Longest single value that may be sent."""
        return self._manifest.max_payload_bytes if self._manifest else MAX_PAYLOAD_BYTES

    @property
    def task(self) -> AgentTask[Any]:
        """What the run was started with.

        Raises:
            AgentflowError: the run has not started.
        """
        if self._task is None:
            raise AgentflowError("the run has not started: call it from within run_agent")
        return self._task

    def task_text(self) -> str:
        """The task's input as the first message: text as it is, anything else as JSON."""
        given = self.task_input
        return given if isinstance(given, str) else tool_text(ToolResult(output=given))

    @property
    def model_proven(self) -> bool:
        """Whether every model this run has used is proven for this agent."""
        used = self.models_used or frozenset({self.manifest.models[0].name})
        return used <= set(self.manifest.release.proven_models)

    @property
    def requester_proof(self) -> RequesterProof | None:
        """How it is verified who asked for the run; ``None`` is not at all."""
        requester = self.requester
        if requester is None or requester.kid in self.people.identities.revoked:
            return None
        return requester.proof

    @cached_property
    def named(self) -> Named:
        """Who is named in what the run was started with: looked up once, when somebody needs it."""
        return Named.of([{name: value for name, value in self.task.given.items() if name not in NOT_SIGNED}])

    def begin(self, task: AgentTask[Any]) -> None:
        """The task is there; nothing of it has been looked at."""
        self.people.approvals.named_in_start = lambda: self.named
        self.people.requester_kid = lambda: self.requester.kid if self.requester else None
        self._task = task

    def set_budget(self) -> None:
        """The budget is the agent's, or less where the task asks for less.

        Raises:
            ConfigurationError: the task asks for more.
        """
        self.purse = replace(self.purse, budget=tightest(self.definition.budget, self.task.budget))

    def _adopt(self, manifest: Manifest) -> None:
        """Go on as the agent that the run is pinned to."""
        self._manifest = manifest
        if manifest.spent_before is not None:
            self.purse = self.purse.after_tries(manifest.spent_before)
        definition = as_pinned(self._present, manifest)
        self.definition = definition
        self.redaction.adopt(definition)
        self.people.identities.own_method = definition.verifier_method
        self.task_input = frozen(input_of(self.task, manifest.task_input))
        self.redaction.of_task(self.task_input)
        self.provenance = Provenance.of_task(
            definition.instructions, self.task_input, definition.untrusted_input
        )

    def remember(self, call: PastCall) -> None:
        """A tool call was carried out: rules and citations see it from here on."""
        # Not there any more if the run goes on with the code of a release that dropped the tool.
        contract = self.definition.catalog.contracts.get(call.tool)
        if contract:
            call = replace(call, output_schema=contract.output_schema)
            self.provenance = self.provenance.after(contract, call)
        self.past_calls = (*self.past_calls, call)
        self.redaction.of_arguments(call.tool, call.arguments)
        self.redaction.of_output(call.tool, call.output)

    def heed(self, said: Json) -> None:
        """A person said it who took over: it may be taken at its word."""
        self.guidance = (*self.guidance, said)
        self.provenance = self.provenance.plus("person", said)

    def has_taken_up(self) -> None:
        """The run stands where it should; what people sent meanwhile counts now."""
        self.has_begun = True
        self.signals.open()

    def _on_signal(self, heard: HeardSignal, payloads: Sequence[bytes]) -> None:
        """Take a signal."""
        if heard.is_first_of_crowd:
            self.log.warning(
                "so many signals at once: those that have no effect are only counted from here on"
            )
        self._is_crowded = heard.is_of_crowd
        try:
            if heard.name in (FREEZE_SIGNAL, UNFREEZE_SIGNAL):
                self._on_freeze("freeze" if heard.name == FREEZE_SIGNAL else "unfreeze", payloads)
            else:
                self.people.on_signal(heard, payloads)
        except Exception as error:
            self.note("signal", False, f"{heard.name[:80]}: {not_judged(error).reason}")
        finally:
            self._is_crowded = False
        self.show_soon()

    def _count_one_more(self) -> None:
        """A signal had no effect, and has no line of its own."""
        self.decision_log = self.decision_log.counting_one_more()

    def _on_freeze(self, verb: FreezeVerb, payloads: Sequence[bytes]) -> None:
        heard = hear(self.frozen, verb, tuple(payloads), self.definition.name, self.task.tenant)
        self.frozen = heard.frozen
        self.record(
            DecisionRecord(
                subject="freeze",
                accepted=heard.accepted,
                detail=heard.detail[:2_000],
                at=workflow.now().isoformat(),
                by=heard.by,
            )
        )

    def pin(self, manifest: Manifest) -> None:
        """The manifest is there; the run becomes visible."""
        self._adopt(manifest)
        self.transcript = Transcript(manifest.root)
        if manifest.ledger:
            self.effects.pin(None, manifest.ledger)
        self.freeze_too(manifest.frozen)
        self._identify(manifest)
        self.log.info("run started", agent=manifest.agent, release=manifest.release_id, tier=manifest.tier)
        self._begin_telling(manifest)
        self.visibility.begin(manifest.agent, manifest.release_id, self.task.tenant, self._standing())

    def freeze_too(self, keys: Sequence[str]) -> None:
        """Freezes hold that the ledger knows of; what was heard by signal holds as well."""
        new = tuple(key for key in keys if key not in self.frozen)
        self.frozen = (*self.frozen, *new)
        if new:
            self.note("freeze", True, f"frozen as it began: {', '.join(new)}")

    def tried_before(self, before: SpentBefore) -> None:
        """This execution is the first of a try, and was taken along what one before it had done."""
        self._manifest = self.manifest.model_copy(update={"spent_before": before})
        self.purse = self.purse.after_tries(before)

    def identify_too(self, keys: Sequence[ApproverKey] | None, terms: SignatureTerms | None) -> None:
        """Let the keys count that the worker has now: people come and go while a run goes on.

        A run that wants signed decisions goes on wanting them, whatever its worker is configured for. What
        was said with a key, in a role or by a person that no longer counts is taken back.
        """
        pinned = self.manifest.approver_keys
        if pinned is not None and keys is not None and tuple(keys) != pinned:
            gone = gone_keys(pinned, keys, workflow.now())
            self._manifest = self.manifest.model_copy(
                update={"approver_keys": tuple(keys), "signature_terms": terms}
            )
            self._identify(self.manifest)
            told = f"; no longer counts: {', '.join(gone)}" if gone else ""
            self.note("revocation" if gone else "continuation", True, f"the approvers' keys changed{told}")
        self.people.reconsider()

    def _identify(self, manifest: Manifest) -> None:
        identities = self.people.identities
        identities.identify(self._fingerprint(), manifest.approver_keys, manifest.signature_terms)

    def continue_from(self, manifest: Manifest, attributes: Mapping[str, Json]) -> None:
        """The run was pinned by an execution before this one, and is visible."""
        self._adopt(manifest)
        self._identify(manifest)
        self._begin_telling(manifest)
        self.visibility.told = dict(attributes)

    def _begin_telling(self, manifest: Manifest) -> None:
        """Lists, and people outside, hear of the run as its manifest says."""
        self.redaction.finds_patterns = manifest.redacts
        self.visibility.is_on = manifest.search_attributes
        self.visibility.lists_approvals = manifest.lists_approvals
        if manifest.notifies:
            name, tenant = self.definition.name, self.task.tenant
            self.notices.begin(name, tenant, self._fingerprint(), manifest.max_payload_bytes)

    def enter(self, state: str, detail: str = "") -> None:
        """Move to a state and show it: details in the Web UI, search attributes in lists."""
        self._state, self._detail = state, detail
        self.show()

    def show(self) -> None:
        """Tell the Web UI and visibility where the run stands."""
        standing = self._standing()
        workflow.set_current_details(self._details(standing))
        self.visibility.show(standing)

    def end(self, outcome: str, reason: str) -> None:
        """The run is over."""
        self.people.turn_away("the run ended")
        self.show_soon.never()
        self._outcome = outcome
        self._state, self._detail = "ended", reason
        standing = self._standing()
        workflow.set_current_details(self._details(standing))
        self.visibility.end(outcome, standing)
        self.log.info("run ended", outcome=outcome, reason=reason, cost_usd=str(self.purse.settled.cost_usd))
        release = self._manifest.release_id if self._manifest else ""
        cost = float(self.purse.settled.cost_usd)
        self.metrics.ended(outcome, release, cost, seconds_since(self.started_at))

    def fail(self) -> dict[str, str]:
        """The run ends without an outcome: lists, and its failure, say what it has spent all the same."""
        self.purse = self.purse.closed()
        self.visibility.fail(self._standing())
        return {SETTLED_USD: str(self.purse.settled.cost_usd)}

    async def attention(self) -> Attention:
        """What the run needs people for, as soon as it does, or how it ended."""
        await workflow.wait_condition(
            lambda: bool(self.people.approvals.pending or self.people.escalations.current or self._outcome)
        )
        return self._attention()

    def _attention(self) -> Attention:
        waiting = "escalated" if self.people.escalations.current else "waiting_for_approval"
        return Attention(
            state="ended" if self._outcome else waiting,
            approvals=tuple(pending.shown() for pending in self.people.approvals.pending),
            escalation=self.people.escalations.current,
            outcome=self._outcome,
            detail=self._detail,
        )

    def record(self, record: DecisionRecord) -> None:
        """Add to the decision log. Of a crowd of signals, those that have no effect are only counted."""
        if self.witness is not None:
            self.witness.decided(record)
        if self._is_crowded and has_no_effect(record):
            self._count_one_more()
            return
        self.decision_log = self.decision_log.add(record)
        if not record.accepted:
            tell = self.log.warning
        else:
            # What rules allow is in each turn; what people allow is not.
            tell = self.log.debug if record.by is None else self.log.info
        tell("decision", subject=record.subject, accepted=record.accepted, tool=record.tool, rule=record.rule)

    def forget_noise(self) -> None:
        """Keep what was decided, and no more than the number of what strangers sent to no effect."""
        self.decision_log = self.decision_log.quiet()
        self.people.approvals.forget_refused()

    def note(self, subject: Subject, accepted: bool, detail: str) -> None:
        """Add a line of the run's own to the decision log."""
        at = workflow.now().isoformat()
        self.record(DecisionRecord(subject=subject, accepted=accepted, detail=detail[:2_000], at=at))

    def status(self) -> RunStatus:
        """Answer of the ``status`` query."""
        return RunStatus(
            agent=self.definition.name,
            release=self._manifest.release_id if self._manifest else "",
            state=self._state,  # type: ignore[arg-type]
            turn=self.turn,
            pending_approvals=len(self.people.approvals.pending),
            escalation=self.people.escalations.current,
            outcome=self._outcome,
            detail=self._detail,
            frozen=self.frozen,
        )

    def told_values(self) -> ToldValues | None:
        """The marked values, for activities that may log or trace texts."""
        known = self.redaction.known
        return known.told() if known.kinds and self._manifest and self._manifest.redacts else None

    def _fingerprint(self) -> Sha256:
        """Names this run in what people sign. Its workflow id may be another run's later."""
        return run_fingerprint(self.manifest.root, self.manifest.chain)

    def _standing(self) -> Standing:
        pending = tuple(approval.shown() for approval in self.people.approvals.pending)
        listed = tuple(map(self.redaction.request, pending))
        # A list has a row for each try.
        before = self.purse.before.cost_usd if self.purse.before else 0
        return Standing(self._state, pending, listed, self.purse.settled.cost_usd - before)

    def _details(self, standing: Standing) -> str:
        view = RunView(
            workflow_id=workflow.info().workflow_id,
            agent=self.definition.name,
            release=self._manifest.release_id if self._manifest else "",
            state=self._state,
            turn=self.turn,
            usage=self.purse.report(),
            pending=standing.listed,
            escalation=self.redaction.escalation(self.people.escalations.current),
            detail=self.redaction.text(self._detail),
            frozen=self.frozen,
        )
        # The server bounds details; a run that waits for very much shows the first of it.
        return details(view)[:20_000]


def seconds_since(time: datetime | None) -> float:
    """Of the workflow's clock; none if nobody knows since when."""
    return (workflow.now() - time).total_seconds() if time else 0.0
