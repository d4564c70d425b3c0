"""People who say again what they said of the same action."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentflow.adapters.history.finding import Finding
from agentflow.client import AgentClient
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, DecisionReceipt
from agentflow.contracts.escalation import Resolution
from agentflow.errors import DecisionRefusedError


@dataclass
class PeopleRecord:
    """What people said in a run."""

    votes: defaultdict[str, deque[Finding]] = field(
        default_factory=lambda: defaultdict[str, deque[Finding]](deque)
    )
    """On actions, by ``arguments_hash``."""
    resolutions: deque[Finding] = field(default_factory=deque[Finding])

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "PeopleRecord":
        """What is recorded of a run."""
        record, actions = cls(), dict[str, str]()
        for finding in findings:
            facts = finding.facts
            if finding.kind == "approval_requested":
                actions[str(facts["approval_id"])] = str(finding.contents["arguments_hash"])
            elif finding.kind == "resolution":
                record.resolutions.append(finding)
            elif finding.kind == "approval_decision" and facts.get("counted", True):
                action = actions.get(str(facts.get("approval_id")))
                if action and facts.get("verdict"):
                    record.votes[action].append(finding)
        return record

    async def decide(self, agents: AgentClient, run: str, request: ApprovalRequest) -> DecisionReceipt | None:
        """Say again what was said of the action; ``None`` if nothing is left to say."""
        votes = self.votes[request.arguments_hash]
        while votes:
            facts, said = votes[0].facts, votes[0].contents
            decision = ApprovalDecision(
                approval_id=request.id,
                by=str(facts["by"]),
                roles=tuple(facts.get("roles") or ()),
                arguments_hash=request.arguments_hash,
                verdict=facts["verdict"],
                reason=str(said.get("reason") or ""),
            )
            votes.popleft()
            try:
                return await agents.decide(run, decision)
            except DecisionRefusedError:
                # Under other rules it may not count.
                continue
        return None

    async def resolve(self, agents: AgentClient, run: str, escalation_id: str) -> bool:
        """Give the next answers that were given to one escalation; whether there were any."""
        if not self.resolutions:
            return False
        asked = self.resolutions[0].facts.get("escalation_id")
        await self._say_next(agents, run, escalation_id)
        # Several people had to say the same.
        while asked and self.resolutions and self.resolutions[0].facts.get("escalation_id") == asked:
            await self._say_next(agents, run, escalation_id)
        return True

    async def _say_next(self, agents: AgentClient, run: str, escalation_id: str) -> None:
        given = self.resolutions.popleft()
        parts: dict[str, Any] = {
            name: value
            for name, value in {**given.contents, **given.facts}.items()
            if name in ("action", "by", "text", "answer", "result", "roles")
        }
        await agents.resolve(run, Resolution.model_validate({**parts, "escalation_id": escalation_id}))
