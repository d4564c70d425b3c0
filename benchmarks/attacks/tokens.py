"""Approvers' keys, and tokens that no tool of agentflow's would make."""

import json
from typing import Any

from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.identity import ApproverKey
from agentflow.core.jws import payload_of, signed


class Keys:
    """Fulfils ``ApproverSource``."""

    def __init__(self, *listed: ApproverKey) -> None:
        self._listed = listed

    async def keys(self) -> tuple[ApproverKey, ...]:
        """Those that it was given."""
        return self._listed


def decided(signer: Signer, request: ApprovalRequest, **told: Any) -> dict[str, Any]:
    """The claims of a true decision."""
    return json.loads(payload_of(str(signer.decision(request, "approve", **told).token)))


def claims_of(token: str) -> dict[str, Any]:
    """What a token says."""
    return json.loads(payload_of(token))


def token_of(signer: Signer, typ: str, payload: str) -> str:
    """A payload, whatever it is, signed."""
    return signed(payload.encode(), signer.key, alg=signer.alg, kid=signer.kid, typ=typ)
