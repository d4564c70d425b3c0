"""What lists and filters of runs see: search attributes, sent when they change."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from agentflow.contracts import names
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.person import folded

_NAME = SearchAttributeKey.for_keyword(names.AGENT_NAME)
_RELEASE = SearchAttributeKey.for_keyword(names.AGENT_RELEASE)
_TENANT = SearchAttributeKey.for_keyword(names.AGENT_TENANT)
_STATUS = SearchAttributeKey.for_keyword(names.AGENT_STATUS)
_PENDING = SearchAttributeKey.for_int(names.AGENT_PENDING_APPROVALS)
_COST = SearchAttributeKey.for_float(names.AGENT_COST_USD)
_OUTCOME = SearchAttributeKey.for_keyword(names.AGENT_OUTCOME)
_ROLES = SearchAttributeKey.for_keyword_list(names.AGENT_APPROVAL_ROLES)

MAX_MEMO_BYTES = 16 * 1024
"""Of the pending actions of a run in its memo: a list of many runs must fit an answer of the server's. For
longer ones the run is asked."""

_BUSY = ("starting", "thinking", "acting")


@dataclass(frozen=True)
class Standing:
    """Where a run stands."""

    state: str
    pending: tuple[ApprovalRequest, ...]
    listed: tuple[ApprovalRequest, ...]
    """The same without what is marked as personal or secret."""
    cost_usd: Decimal


class Visibility:
    """The search attributes of one run.

    Each change is an event of history and a write to the visibility store, so a run tells of its waits
    and its end, not of each step: what people look for is who waits.
    """

    def __init__(self) -> None:
        self.told: dict[str, Json] = {}
        """The attributes as they are."""
        self.is_on: bool = False
        """Whether the server has them."""
        self.lists_approvals: bool = False
        """Whether pending actions are told as well."""
        self._pending: tuple[ApprovalRequest, ...] = ()
        self._memo: Json = None

    def begin(self, agent: str, release: str, tenant: str, standing: Standing) -> None:
        """The run is pinned."""
        identity = {_NAME: agent, _RELEASE: release, _TENANT: tenant}
        self._tell({**identity, **self._attributes(standing)})

    def show(self, standing: Standing) -> None:
        """The run may have moved. The cost alone is no reason for an event; it goes with the next one."""
        attributes = self._attributes(standing)
        if any(self.told.get(key.name) != attributes.get(key) for key in (_STATUS, _PENDING, _ROLES)):
            self._tell(attributes)
        self._list(standing.listed)

    def end(self, outcome: str, standing: Standing) -> None:
        """The run is over."""
        self._tell({**self._attributes(standing), _OUTCOME: outcome})
        self._list(())

    def fail(self, standing: Standing) -> None:
        """The run is over, without an outcome."""
        self._tell({_COST: float(standing.cost_usd)})

    def _attributes(self, standing: Standing) -> dict[SearchAttributeKey[Any], Json]:
        attributes: dict[SearchAttributeKey[Any], Json] = {
            _STATUS: "running" if standing.state in _BUSY else standing.state,
            _PENDING: len(standing.pending),
            _COST: float(standing.cost_usd),
        }
        if self.lists_approvals:
            attributes[_ROLES] = _roles(standing.pending)
        return attributes

    def _list(self, pending: tuple[ApprovalRequest, ...]) -> None:
        """Put the pending actions where a list of many runs finds them."""
        if not (self.is_on and self.lists_approvals):
            return
        if pending == self._pending:
            return
        self._pending = pending
        memo: Json = [request.model_dump(mode="json") for request in pending] or None
        if memo is not None and len(canonical_json(memo)) > MAX_MEMO_BYTES:
            memo = None
        if memo != self._memo:
            self._memo = memo
            workflow.upsert_memo({names.APPROVALS_MEMO: memo})

    def _tell(self, attributes: dict[SearchAttributeKey[Any], Json]) -> None:
        new = {key: value for key, value in attributes.items() if self.told.get(key.name) != value}
        if not new or not self.is_on:
            return
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] - untyped there
            [key.value_unset() if value is None else key.value_set(value) for key, value in new.items()]
        )
        self.told |= {key.name: value for key, value in new.items()}


def _roles(pending: Sequence[ApprovalRequest]) -> list[str] | None:
    """The roles that may decide on any of them now; ``None`` where nothing is pending."""
    now = workflow.now()
    found = {folded(role) for request in pending for role in request.roles_at(now) or (names.ANY_ROLE,)}
    return sorted(found) or None
