"""Activities: calls of models and tools, and what became of writes."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from agentflow.adapters.history.finding import Finding, document, told
from agentflow.adapters.history.story import Output, Place, Story
from agentflow.contracts import names
from agentflow.contracts.audit import RecordKind
from agentflow.contracts.effects import EffectInquiry, EffectReport
from agentflow.contracts.manifest import Manifest
from agentflow.contracts.messages import ToolMessage
from agentflow.contracts.model import HEAD_DIGITS, Brief, ChatRequest, ChatResponse
from agentflow.contracts.recorded import Recorded
from agentflow.contracts.timeline import StepState
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.contracts.verification import Verification
from agentflow.contracts.wire import Contract, Json
from agentflow.core.idempotency import arguments_hash
from agentflow.core.pricing import cost_usd
from agentflow.core.usage import contradictions

ContractT = TypeVar("ContractT", bound=Contract)

ACTIVITY_ENDS: Mapping[str, StepState] = {
    "activity_task_completed_event_attributes": "done",
    "activity_task_failed_event_attributes": "failed",
    "activity_task_timed_out_event_attributes": "failed",
    "activity_task_canceled_event_attributes": "cancelled",
}

_EFFECTS = (names.RECONCILE_EFFECT_ACTIVITY, names.CLOSE_EFFECT_ACTIVITY)
_OWN: Mapping[str, RecordKind] = {
    names.GUARD_OUTPUT_ACTIVITY: "guard",
    names.NOTIFY_ACTIVITY: "notice",
    names.FIND_ARRIVALS_ACTIVITY: "activity",
    names.LOAD_STATE_ACTIVITY: "activity",
}


class Calls:
    """Reads the activities of one execution."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._scheduled: dict[int, Finding] = {}
        """By the event that scheduled them."""
        self.state_texts: list[str] = []
        """Parts of the state that the execution took up, in order."""

    async def scheduled(self, place: Place, attributes: Any, attempts: int) -> None:
        """An activity is to begin."""
        story, activity = self._story, attributes.activity_type.name
        given = await story.value(attributes.input.payloads, place, f"input of {activity}")
        finding = Finding("activity", place.at, place.execution, place.event, facts={"activity": activity})
        if activity == names.CHAT_ACTIVITY:
            self._chat(finding, given, place)
        elif activity in _EFFECTS:
            self._inquiry(finding, given, place)
        elif activity == names.VERIFY_APPROVER_ACTIVITY:
            finding.kind = "verification"
        elif activity in _OWN:
            finding.kind = _OWN[activity]
            finding.contents = told(input=given)
        else:
            self._tool(finding, given, place)
        finding.facts |= {"state": "open", "attempts": attempts}
        self._scheduled[place.event] = story.add(finding)

    async def ended(self, place: Place, which: str, attributes: Any) -> None:
        """An activity has ended, or was given up."""
        finding = self._scheduled.get(attributes.scheduled_event_id)
        if finding is None:
            return
        state = ACTIVITY_ENDS[which]
        took = place.at - finding.at
        finding.facts |= {
            "state": state,
            "ended_event": place.event,
            "milliseconds": round(took.total_seconds() * 1_000),
        }
        if state == "done":
            value = await self._story.value(attributes.result.payloads, place, "result")
            if finding.facts.get("activity") == names.LOAD_STATE_ACTIVITY:
                self.state_texts.append(str(document(value).get("text")))
            elif finding.kind == "verification":
                self._verification(finding, value, place)
            else:
                self._result(finding, value, place)
        elif state == "failed":
            failure = attributes.failure
            kind = failure.application_failure_info.type or failure.WhichOneof("failure_info") or "failure"
            finding.facts["failure"] = kind
            finding.contents |= told(failure=failure.message)

    async def marker(self, place: Place, attributes: Any) -> None:
        """A local activity has ended: the manifest, a record, or a read."""
        details = attributes.details
        if "data" not in details:
            return
        about = document(await self._story.value(details["data"].payloads, place, "marker"))
        activity = about.get("activity_type")
        if not activity:
            return
        given = details["result"].payloads if "result" in details else ()
        value = await self._story.value(given, place, f"result of {activity}")
        state: StepState = "failed" if attributes.HasField("failure") else "done"
        facts = {"state": state, "attempts": int(about.get("attempt") or 1), "local": True}
        if activity == names.RESOLVE_MANIFEST_ACTIVITY:
            self._manifest(place, value, facts)
            return
        if activity == names.STORE_STATE_ACTIVITY:
            return
        if activity == names.RECORD_ACTIVITY:
            self._recorded(place, value, facts)
            return
        finding = Finding("tool_call", place.at, place.execution, place.event, facts=facts)
        finding.facts["tool"] = str(activity)
        if state == "failed":
            finding.contents |= told(failure=attributes.failure.message)
        else:
            self._result(finding, value, place)
        name = str(finding.facts.get("tool_call_id") or "")
        if call := self._story.calls.get(name):
            finding.contents["arguments"] = call.arguments
        self._story.add_call(name, self._story.add(finding))
        self._story.carried_out.add(name)

    def _manifest(self, place: Place, value: Json, facts: dict[str, Json]) -> None:
        manifest = self._parsed(Manifest, value, place, "manifest")
        finding = Finding("manifest", place.at, place.execution, place.event, facts=facts)
        if manifest is not None:
            self._story.is_agent = True
            self._story.manifest = manifest
            finding.facts |= manifest_facts(manifest)
            finding.contents = told(problem=manifest.problem)
        self._story.add(finding)

    def _recorded(self, place: Place, value: Json, facts: dict[str, Json]) -> None:
        """The agent's code came to something that a replay is to come to again."""
        said = self._parsed(Recorded, value, place, "record of what code came to")
        finding = Finding("recorded", place.at, place.execution, place.event, facts=facts)
        if said is not None:
            decision = said.decision
            if decision is not None:
                pinned = self._story.manifest and self._story.manifest.rules
                rules = pinned and pinned.id
                finding.facts |= told(verdict=decision.verdict, rule=decision.rule, rules=rules)
            finding.contents = told(problem=said.problem, reason=decision and decision.reason)
        self._story.add(finding)

    def _verification(self, finding: Finding, value: Json, place: Place) -> None:
        """An agent's own verifier said who somebody is, or that they are nobody."""
        said = self._parsed(Verification, value, place, "verification")
        if said is not None and said.approver is not None:
            who = said.approver
            finding.facts |= {"identity": who.method, "by": who.subject}
            finding.facts |= told(roles=list(who.roles), on_behalf_of=who.on_behalf_of)
        elif said is not None:
            finding.facts["identity"] = "not_verified"
            finding.contents = told(not_verified_because=said.refusal)

    def _chat(self, finding: Finding, given: Json, place: Place) -> None:
        finding.kind = "model_call"
        request = self._parsed(ChatRequest, given, place, "chat request")
        if request is None:
            finding.contents = told(input=given)
            return
        story = self._story
        story.know(request.known)
        if request.brief and request.brief_in_full:
            story.briefs[request.brief] = request.brief_in_full
            story.add(_prompt(request.brief, request.brief_in_full, place))
        prompt = request.brief or story.answered_with.get((request.parent or "")[:HEAD_DIGITS])
        brief = story.briefs.get(prompt) if prompt else None
        finding.facts |= told(prompt=prompt, model=brief and brief.model.name)
        messages = [message.model_dump(mode="json") for message in request.messages]
        finding.contents = told(messages=messages)
        for message in request.messages:
            if isinstance(message, ToolMessage) and message.is_error:
                self._refused(message, place)

    def _refused(self, message: ToolMessage, place: Place) -> None:
        """A call that was not carried out: there is no activity of it, and the model was told why."""
        story, name = self._story, message.tool_call_id
        if name in story.carried_out or message.content is None:
            return
        finding = Finding("refused_call", place.at, place.execution, place.event)
        finding.facts = {"tool_call_id": name}
        why = document(_loaded(message.content))
        finding.facts |= told(error=why.get("error"))
        finding.contents = told(message=why.get("message"))
        # A name that the model made up may be anything.
        place_of_name = finding.contents if why.get("error") == "unknown_tool" else finding.facts
        place_of_name["tool"] = message.tool
        if call := story.calls.get(name):
            finding.contents["arguments"] = call.arguments
        story.add_call(name, story.add(finding))

    def _tool(self, finding: Finding, given: Json, place: Place) -> None:
        if "ledger_key" not in document(given):
            finding.contents = told(input=given)
            return
        finding.kind, tool = "tool_call", str(finding.facts.pop("activity"))
        finding.facts["tool"] = tool
        invocation = self._parsed(ToolInvocation, given, place, "tool invocation")
        if invocation is None:
            finding.contents = told(input=given)
            return
        self._story.know(invocation.known)
        finding.facts |= _about(tool, invocation)
        finding.contents = {
            "arguments": invocation.arguments,
            "arguments_hash": invocation.decision.arguments_hash,
            **told(reason=invocation.decision.reason),
        }
        self._story.add_call(invocation.call_id, finding)
        self._story.carried_out.add(invocation.call_id)

    def _inquiry(self, finding: Finding, given: Json, place: Place) -> None:
        finding.kind = "effect"
        inquiry = self._parsed(EffectInquiry, given, place, "effect inquiry")
        if inquiry is None:
            return
        call = inquiry.invocation
        finding.facts |= {"tool": inquiry.tool, "tool_call_id": call.call_id, "ledger_key": call.ledger_key}
        if closing := inquiry.closing:
            finding.facts |= {"verdict": closing.verdict, "by": closing.by}
            finding.contents = told(text=closing.text, output=closing.output)

    def _result(self, finding: Finding, value: Json, place: Place) -> None:
        match finding.kind:
            case "model_call":
                response = self._parsed(ChatResponse, value, place, "chat response")
                if response is not None:
                    self._answered(finding, response)
            case "tool_call":
                result = self._parsed(ToolResult, value, place, "tool result")
                if result is not None:
                    self._tool_ended(finding, result, place)
            case "effect":
                report = self._parsed(EffectReport, value, place, "effect report")
                if report is not None:
                    finding.facts |= {"effect": report.state, "effect_attempts": report.attempts}
                    finding.contents |= told(detail=report.detail)
            case _:
                finding.contents |= told(result=value)

    def _answered(self, finding: Finding, response: ChatResponse) -> None:
        answer, usage, story = response.answer, response.usage, self._story
        story.calls |= {call.id: call for call in answer.tool_calls}
        story.carried_out = set()
        finding.facts |= {
            "finish_reason": response.finish_reason,
            "usage": usage.model_dump(mode="json"),
            "tool_call_ids": [call.id for call in answer.tool_calls],
            **told(response_model=response.response_model),
        }
        if doubts := contradictions(usage, answer):
            finding.facts["usage_in_doubt"] = list(doubts)
        if response.attempt > 1:
            finding.facts["attempts"] = response.attempt
        prompt = finding.facts.get("prompt")
        if prompt:
            story.answered_with[response.head[:HEAD_DIGITS]] = prompt
        if prompt and (brief := story.briefs.get(prompt)):
            prices = (brief.model.price, response.response_price or brief.model.price)
            # As reported. What the run was charged for it is in its budget.
            cost = max(cost_usd(usage, price) for price in prices)
            story.cost_usd += cost
            finding.facts["cost_usd"] = str(cost)
        finding.contents |= {"answer": answer.model_dump(mode="json", exclude_defaults=True)}
        finding.contents |= {"head": response.head}

    def _tool_ended(self, finding: Finding, result: ToolResult, place: Place) -> None:
        name = str(result.call_id or finding.facts.get("tool_call_id", ""))
        finding.facts["tool_call_id"] = name
        if result.replayed:
            finding.facts["from_ledger"] = True
        if result.error:
            finding.facts |= {"state": "failed", "error": result.error.kind}
            finding.contents["error"] = result.error.message
            return
        finding.contents["output"] = result.output
        tool = str(finding.facts["tool"])
        self._story.add_output(name, Output(tool, result.output, place.execution, place.event))

    def _parsed(self, kind: type[ContractT], value: Json, place: Place, of: str) -> ContractT | None:
        if value is None:
            # Not there, or told as a gap already.
            return None
        try:
            return kind.model_validate(value)
        except ValidationError:
            self._story.gap("unknown_schema", place, of=of)
            return None


def manifest_facts(manifest: Manifest) -> dict[str, Json]:
    """What a run is pinned to."""
    return {
        "agent": manifest.agent,
        "release": manifest.release_id,
        "version": manifest.release.version,
        "tier": manifest.tier,
        "models": [
            {"model": spec.name, "price": spec.price.model_dump(mode="json", exclude_none=True)}
            for spec in manifest.models
        ],
        "decisions": "stated" if manifest.approver_keys is None else "signed",
        "approver_keys": [
            {"kid": key.kid, "alg": key.alg, "jwk": key.jwk, "roles": list(key.roles)}
            for key in manifest.approver_keys or ()
        ],
        "agentflow_version": manifest.agentflow_version,
        **told(
            rules=manifest.rules and manifest.rules.id,
            rules_hash=manifest.rules and manifest.rules.hash,
            engines=list(manifest.rules.engines) if manifest.rules else None,
            imported=dict(manifest.imported),
            frozen=list(manifest.frozen),
        ),
    }


def _prompt(name: str, brief: Brief, place: Place) -> Finding:
    facts: dict[str, Json] = {
        "prompt": name,
        "model": brief.model.name,
        "tools": [tool.name for tool in brief.tools],
        "max_output_tokens": brief.max_output_tokens,
        **told(rules=brief.rules),
    }
    contents = told(
        instructions=brief.instructions,
        tools=[tool.model_dump(mode="json") for tool in brief.tools],
        output_schema=brief.output_schema,
    )
    return Finding("prompt", place.at, place.execution, place.event, facts=facts, contents=contents)


def _about(tool: str, invocation: ToolInvocation) -> dict[str, Json]:
    decision = invocation.decision
    return {
        "tool_call_id": invocation.call_id,
        "verdict": decision.verdict,
        "rule": decision.rule,
        "is_bound": decision.arguments_hash == arguments_hash(tool, invocation.arguments),
        "ledger_key": invocation.ledger_key,
        **told(rules=decision.rules, granted_by=list(decision.granted_by), imported=invocation.source),
    }


def _loaded(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return None
