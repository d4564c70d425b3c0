"""What the rules say of a tool call, and that it is on record."""

from temporalio import workflow

from agentflow.contracts.messages import ToolCall
from agentflow.contracts.rules import Decision, DecisionRecord
from agentflow.contracts.tools import ToolContract
from agentflow.core.policy import decide
from agentflow.core.rule_context import RuleContext
from agentflow.errors import RunDenied
from agentflow.telemetry import semconv
from agentflow.telemetry.spans import is_replay_safe, workflow_span
from agentflow.workflow import dispatch
from agentflow.workflow.run import Run


class Deciding:
    """Asks the rules of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def decide(self, call: ToolCall, contract: ToolContract, place: str) -> Decision:
        """Ask the rules.

        Args:
            call: What the model asks for.
            contract: Its tool's.
            place: Names this decision within the run.

        Raises:
            RunDenied: they, or the tool's import, aren't those that the run was pinned to.
        """
        definition = self._run.definition
        pinned = self._run.manifest.rules
        if pinned and pinned.hash != definition.rules_name.hash and dispatch.rules_changed(place):
            raise RunDenied(
                f"the run is pinned to the rules {pinned.id}, and its worker has {definition.rules_name.id}"
            )
        imported = self._run.manifest.imported.get(call.tool)
        if imported and imported != contract.import_digest and dispatch.import_changed(place):
            raise RunDenied(f"the run is pinned to another import of {call.tool} than its worker has")
        with self._run.metrics.deciding(call.tool) as measured:
            rules = definition.rules
            decision = decide(rules.rules, self._context(call, contract), rules.policies)
            measured[semconv.DECISION_VERDICT] = decision.verdict
        return decision.model_copy(update={"rules": definition.rules_name.id})

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
        origins = self._run.provenance.origins(call.arguments, self._run.past_calls)
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
        )
