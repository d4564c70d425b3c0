"""What people sent: decisions on approvals, answers to escalations, freezes; and what they were asked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload

from agentflow.adapters.history.finding import Finding, document, told
from agentflow.adapters.history.story import Place, Story
from agentflow.contracts import names
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.contracts.audit import RecordKind
from agentflow.contracts.wire import Json
from agentflow.core.approval import Refusal
from agentflow.core.signed_approvers import SignedApprovers

_VERDICTS: Mapping[str, Literal["approve", "reject"]] = {
    names.APPROVE_SIGNAL: "approve",
    names.REJECT_SIGNAL: "reject",
}
_OTHERS: Mapping[str, RecordKind] = {
    names.RESOLVE_SIGNAL: "resolution",
    names.FREEZE_SIGNAL: "freeze",
    names.UNFREEZE_SIGNAL: "freeze",
    names.REVOKE_SIGNAL: "revocation",
}
_FACTS: Mapping[RecordKind, tuple[str, ...]] = {
    "resolution": ("action", "by", "escalation_id"),
    "freeze": ("scope", "name", "by"),
    "revocation": ("kid", "delegation", "by"),
}
"""Of each payload, what nobody wrote in their own words."""


class People:
    """Reads what came from outside."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._approvals: dict[str, Finding] = {}
        self._requests: dict[str, ApprovalRequest] = {}
        self._updates: dict[int, Finding] = {}
        """By the event that accepted them."""

    async def signalled(self, place: Place, attributes: Any) -> None:
        """A signal came."""
        name = str(attributes.signal_name)
        said = await self._story.value(attributes.input.payloads, place, f"signal {name}")
        sent = told(sent_by=attributes.identity)
        if name in _VERDICTS:
            self._decision(place, _VERDICTS[name], said, {"door": "signal", **sent})
        elif name in _OTHERS:
            self._said(place, name, said, sent)
        else:
            finding = Finding("signal", place.at, place.execution, place.event)
            # Whoever may signal may choose any name.
            finding.facts, finding.contents = sent, {"signal": name, **told(payload=said)}
            self._story.add(finding)

    async def accepted(self, place: Place, attributes: Any) -> None:
        """An update was let in. Whether it counted is told when it is over."""
        request = attributes.accepted_request
        name = str(request.input.name)
        if name == names.AWAIT_ATTENTION_UPDATE:
            # Somebody waited. It changed nothing.
            return
        said = await self._story.value(request.input.args.payloads, place, f"update {name}")
        sent = told(sent_by=request.meta.identity)
        if name == names.DECIDE_UPDATE:
            verdict = document(said).get("verdict")
            verdict = verdict if verdict in ("approve", "reject") else None
            finding = self._decision(place, verdict, said, {"door": "update", **sent})
        else:
            finding = Finding("update", place.at, place.execution, place.event)
            finding.facts, finding.contents = sent, {"update": name, **told(payload=said)}
            self._story.add(finding)
        self._updates[place.event] = finding

    def completed(self, place: Place, attributes: Any) -> None:
        """An update is over."""
        finding = self._updates.get(attributes.accepted_event_id)
        if finding is None:
            return
        is_refused = attributes.outcome.HasField("failure")
        finding.facts |= {"ended_event": place.event, "counted": not is_refused}
        if is_refused:
            finding.contents |= told(refused_because=attributes.outcome.failure.message)

    def _decision(
        self,
        place: Place,
        verdict: Literal["approve", "reject"] | None,
        said: Json,
        facts: dict[str, Json],
    ) -> Finding:
        finding = Finding("approval_decision", place.at, place.execution, place.event, facts=facts)
        self._story.add(finding)
        try:
            decision = ApprovalDecision.model_validate(said)
        except ValidationError:
            finding.facts |= {"is_malformed": True}
            finding.contents = told(payload=said)
            return finding
        finding.facts |= {
            "approval_id": decision.approval_id,
            "verdict": verdict,
            "by": decision.by,
            "is_bound": decision.arguments_hash is not None,
            **told(roles=list(decision.roles)),
        }
        finding.contents = told(
            reason=decision.reason, arguments_hash=decision.arguments_hash, token=decision.token
        )
        if verdict is not None:
            self._identity(finding, decision, verdict, place.at)
        return finding

    def _identity(
        self,
        finding: Finding,
        decision: ApprovalDecision,
        verdict: Literal["approve", "reject"],
        at: datetime,
    ) -> None:
        """Who it was, as far as that can be verified again."""
        manifest, run = self._story.manifest, self._story.fingerprint
        if manifest is None or run is None or manifest.approver_keys is None:
            finding.facts["identity"] = "stated"
            return
        verifier = SignedApprovers(
            manifest.approver_keys,
            self._story.revoked,
            terms=manifest.signature_terms,
            revoked_delegations=self._story.revoked_delegations,
        )
        request = self._requests.get(decision.approval_id)
        # An action that is too long for the memo is in no list: who signed can be told all the same.
        found = (
            verifier.signer(decision, run, at)
            if request is None
            else verifier.verify(decision, verdict, request, run, at)
        )
        if isinstance(found, Refusal):
            finding.facts["identity"] = "not_verified"
            finding.contents["not_verified_because"] = found.reason
            return
        finding.facts |= {"identity": "signed", "keys": list(found.kids), "roles": list(found.roles)}
        finding.facts |= told(on_behalf_of=found.on_behalf_of)

    def _said(self, place: Place, name: str, said: Json, sent: dict[str, Json]) -> None:
        kind = _OTHERS[name]
        given = document(said)
        facts = {part: given.get(part) for part in _FACTS[kind]}
        # Whoever may signal may send anything in the place of a name.
        facts = {part: value for part, value in facts.items() if isinstance(value, str) and len(value) <= 200}
        finding = Finding(kind, place.at, place.execution, place.event)
        finding.facts = {"signal": name, **told(**facts), **sent}
        finding.contents = told(
            **{part: value for part, value in given.items() if part not in finding.facts}
        ) or told(payload=None if given else said)
        if kind == "revocation" and "kid" in finding.facts:
            self._story.revoked.append(str(finding.facts["kid"]))
        if kind == "revocation" and "delegation" in finding.facts:
            self._story.revoked_delegations.append(str(finding.facts["delegation"]))
        self._story.add(finding)

    async def memo(self, place: Place, fields: Mapping[str, Payload]) -> None:
        """The pending actions as they come and go."""
        if names.APPROVALS_MEMO not in fields:
            return
        listed = await self._story.value([fields[names.APPROVALS_MEMO]], place, "memo of approvals")
        try:
            pending = [ApprovalRequest.model_validate(one) for one in cast(list[Json], listed or [])]
        except (ValidationError, TypeError):
            self._story.gap("unknown_schema", place, of="memo of approvals")
            return
        here = {request.id for request in pending}
        for request in pending:
            self._requests[request.id] = request
            if request.id not in self._approvals:
                self._approvals[request.id] = self._story.add(_requested(request, place))
            known = self._approvals[request.id].facts
            known |= told(approved_by=list(request.approved_by), refusals=request.refusals)
        for name, finding in self._approvals.items():
            if name not in here and finding.facts["state"] == "open":
                finding.facts |= {
                    "state": "done",
                    "ended_event": place.event,
                    "milliseconds": round((place.at - finding.at).total_seconds() * 1_000),
                }


def _requested(request: ApprovalRequest, place: Place) -> Finding:
    finding = Finding("approval_requested", place.at, place.execution, place.event)
    finding.facts = {
        "approval_id": request.id,
        "tool": request.tool,
        "rule": request.rule,
        "people": request.quorum.people,
        "deadline": request.deadline.isoformat(),
        "requested_by": request.requested_by,
        "requester": request.requester_proof or "not_verified",
        "identity": request.identity,
        "state": "open",
        **told(
            tool_call_id=request.tool_call_id,
            roles=list(request.quorum.roles),
            next_roles=list(request.quorum.next_roles),
            effect=request.effect,
        ),
    }
    finding.contents = {
        # As lists show it: what is marked personal or secret was left out of it.
        "arguments": request.arguments,
        "arguments_hash": request.arguments_hash,
        **told(
            reason=request.reason,
            sentence=request.sentence,
            sources=request.sources,
            untrusted=[one.model_dump(mode="json") for one in request.untrusted],
        ),
    }
    return finding
