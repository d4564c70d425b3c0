"""What the rules say of a tool call, and that it is on record."""

from temporalio import workflow

from agentflow.contracts.messages import ToolCall
from agentflow.contracts.recorded import Recorded, RecordedVerdict
from agentflow.contracts.rules import Decision, DecisionRecord
from agentflow.contracts.tools import ToolContract
from agentflow.core.policy import binding_of, decide
from agentflow.core.rule_context import RuleContext
from agentflow.errors import RunDenied
from agentflow.telemetry import semconv
from agentflow.telemetry.spans import is_replay_safe, workflow_span
from agentflow.workflow.facts import NOT_ALLOWED, is_kept
from agentflow.workflow.recording import recorded, verdict_of
from agentflow.workflow.run import Run

ALLOWED_THEN = RecordedVerdict(
    verdict="allow",
    rule="not_recorded",
    reason="it was allowed when the run came to it, by rules whose code has been changed since",
)
"""What is known of a call that was allowed, where today's rules don't allow it any more."""


class Deciding:
    """Asks the rules of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def decide(self, call: ToolCall, contract: ToolContract) -> Decision:
        """Ask the rules that the run was pinned to.

        What depends on code, which a deploy may change, is recorded unless it is to allow the call: a replay
        gets the decision of then.

        Args:
            call: What the model asks for.
            contract: Its tool's.

        Raises:
            RunDenied: the worker doesn't have the code of a rule that would be asked.
        """
        run, context = self._run, self._context(call, contract)
        asked, rules = run.definition.asked, run.definition.rules_name.id
        if not asked.needs_code(context):
            return self._decided(context).model_copy(update={"rules": rules})
        missing = asked.missing(context)
        said = None if missing else verdict_of(self._decided(context))
        then = await self._as_first_said(call, said, missing)
        return Decision(
            verdict=then.verdict,
            rule=then.rule,
            reason=then.reason,
            quorum=then.quorum,
            arguments_hash=binding_of(contract.name, call.arguments),
            rules=rules,
        )

    async def _as_first_said(
        self, call: ToolCall, said: RecordedVerdict | None, missing: str | None
    ) -> RecordedVerdict:
        """What was said of a call when the run came to it, which is what is said now unless this is a replay.

        Most calls are allowed, and asked for by a model that has just answered. Those cost nothing: that
        there is no marker says it. After a local activity that is not certain, and each call is recorded.
        """
        calls = self._run.calls
        if calls.local_since_answer or not self._run.definition.performs_by_default:
            return await self._on_record(said, missing)
        name = calls.name("decision", call.id, call.tool)
        if said is not None and said.verdict == "allow":
            if not workflow.unsafe.is_replaying() or not is_kept(NOT_ALLOWED, name):
                return said
        elif not is_kept(NOT_ALLOWED, name):
            return ALLOWED_THEN
        return await self._on_record(said, missing)

    async def _on_record(self, said: RecordedVerdict | None, missing: str | None) -> RecordedVerdict:
        kept = await recorded(self._run.calls, "decision", Recorded(problem=missing, decision=said))
        if kept.decision is None:
            rules = self._run.definition.rules_name.id
            raise RunDenied(
                f"the run is pinned to the rules {rules}, and its worker doesn't have {kept.problem} any more"
            )
        return kept.decision

    def _decided(self, context: RuleContext) -> Decision:
        asked = self._run.definition.asked
        with self._run.metrics.deciding(context.tool.name) as measured:
            decision = decide(asked.rules, context, asked.policies)
            measured[semconv.DECISION_VERDICT] = decision.verdict
        return decision

    def recorded(self, call: ToolCall, decision: Decision) -> Decision:
        """Put a decision on record, and answer it."""
        attributes = {
            semconv.TOOL_NAME: call.tool,
            semconv.TOOL_CALL_ID: call.id,
            semconv.DECISION_RULE: decision.rule,
            semconv.DECISION_VERDICT: decision.verdict,
            semconv.RULES: decision.rules or "",
            semconv.LABELS: self._labels(call),
        }
        with workflow_span(f"{semconv.DECIDE} {call.tool}", attributes):
            # It takes no time of the run's; what it came to is what there is to see.
            pass
        self._run.record(
            DecisionRecord(
                subject="tool_call",
                accepted=decision.verdict == "allow",
                detail=decision.reason,
                at=workflow.now().isoformat(),
                tool=call.tool,
                tool_call_id=call.id,
                verdict=decision.verdict,
                rule=decision.rule,
                by=", ".join(decision.granted_by) or None,
            )
        )
        return decision

    def _labels(self, call: ToolCall) -> list[str]:
        """Where the arguments' values are from, for whoever records spans."""
        if not is_replay_safe():
            return []
        contract = self._run.definition.catalog.contracts.get(call.tool)
        origins = self._run.provenance.origins(call.arguments, self._run.past_calls, contract)
        return [f"{name}={label}" for name, label in origins.items()]

    def _context(self, call: ToolCall, contract: ToolContract) -> RuleContext:
        run = self._run
        return RuleContext(
            agent=run.definition.name,
            tool=contract,
            arguments=call.arguments,
            tier=run.manifest.tier,
            tenant=run.task.tenant,
            customer_tier=run.task.customer_tier,
            requested_by=run.task.requested_by,
            requester_verified=run.requester_proof is not None,
            task_input=run.task_input,
            model=", ".join(sorted(run.models_used)) or run.manifest.models[0].name,
            model_proven=run.model_proven,
            spend=run.purse.settled + run.purse.reserved,
            past_calls=run.past_calls,
            provenance=run.provenance,
            frozen=run.frozen,
            known_arguments=run.definition.known_arguments,
        )
