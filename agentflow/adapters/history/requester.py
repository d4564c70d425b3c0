"""Who asked for a run, verified again: from its first event, by whose word the run was pinned to take."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from agentflow.adapters.history.finding import Finding, told
from agentflow.contracts.manifest import Manifest
from agentflow.contracts.requester import Requester
from agentflow.contracts.wire import Json
from agentflow.core.approval import Refusal
from agentflow.core.requester import Start, requester_of


@dataclass(frozen=True)
class Begun:
    """What a run was started with."""

    finding: Finding
    """The run's first."""
    task: Mapping[str, Json]
    agent: str
    """The workflow type."""
    at: datetime
    headers: Mapping[str, bytes]
    is_first: bool
    carried: Json
    """What the execution before had found out."""

    def tell(self, manifest: Manifest | None) -> None:
        """Say who asked, in the finding: ``token``, ``header`` or ``not_verified``."""
        found = self._found(manifest)
        proof = None if isinstance(found, Refusal) else found.proof
        why = found.reason if isinstance(found, Refusal) else found.detail
        self.finding.facts["requester"] = proof or "not_verified"
        if proof is None:
            self.finding.contents |= told(not_verified_because=why)
        elif isinstance(found, Requester):
            self.finding.facts |= told(requester_key=found.kid)

    def _found(self, manifest: Manifest | None) -> Requester | Refusal:
        if self.carried is not None:
            try:
                return Requester.model_validate(self.carried)
            except ValidationError:
                return Refusal("what the execution before found out can't be read")
        if manifest is None:
            return Refusal("the run's manifest is not recorded")
        start = Start(self.agent, manifest.root, self.at, self.is_first, self.headers)
        return requester_of(self.task, start, manifest.requesters)
