"""Whether a write is still permitted, asked by each of its attempts right before it acts.

Rules and people allowed it some time ago. Since then it may have been frozen, a key that an approval rests on
may have been revoked or lost its roles, and the attempt may run on a worker of another environment than the
run was begun for. What can't be found out forbids.
"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from temporalio import activity

from agentflow.activity.manifest import keys_of
from agentflow.activity.moment import Moment
from agentflow.activity.stops import StopReader
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.rules import Quorum, Tier
from agentflow.contracts.stops import CACHED_FOR
from agentflow.contracts.tools import ToolInvocation
from agentflow.core.approvers import TrustedApprovers
from agentflow.core.consents import Trust, objections_to
from agentflow.core.signed_approvers import SignedApprovers
from agentflow.errors import ForbiddenNowError
from agentflow.ports.approvers import ApproverSource

Permits = Callable[[ToolInvocation], Awaitable[None]]
"""Asked by each attempt of a write right before it calls the tool, when its intent is in the ledger.

Raises:
    ForbiddenNowError: it is forbidden by now.
    Exception: nobody can say whether it is; the attempt calls nothing, and may come again.
"""


async def permitted(invocation: ToolInvocation) -> None:
    """Permit: for tools that are carried out without a worker."""


class _Keys(NamedTuple):
    keys: tuple[ApproverKey, ...]
    asked: Moment


class WritePermits:
    """Permits for all tools of a worker, by what holds now."""

    def __init__(
        self,
        stops: StopReader | None,
        tier: Tier,
        approvers: ApproverSource | None = None,
        *,
        cached_for: timedelta = CACHED_FOR,
    ) -> None:
        """Put the parts together.

        Args:
            stops: Reads what is forbidden; ``None`` where nothing here writes.
            tier: The worker's.
            approvers: Whose signed decisions count here; ``None`` takes people at their word.
            cached_for: How long the approvers' keys count once they were read.
        """
        self._stops = stops
        self._tier: Tier = tier
        self._approvers = approvers
        self._identity = SignedApprovers.method if approvers else TrustedApprovers.method
        self._cached_for = cached_for.total_seconds()
        self._known: _Keys | None = None

    async def permits(self, invocation: ToolInvocation) -> None:
        """Fulfil ``Permits``.

        Raises:
            ForbiddenNowError: something forbids it by now; the text says what.
            LedgerError: the ledger can't say.
            ConfigurationError: the approvers' keys can't be used.
            OutsideError: the approvers' keys can't be told now.
        """
        grounds = invocation.grounds
        if grounds is None:
            raise ForbiddenNowError("the call does not say what it rests on")
        objections = list(self._of_another_worker(grounds))
        if self._stops is not None:
            objections += await self._stops.objections(activity.info().namespace, grounds)
        if grounds.quorum is not None:
            objections += await self._to_consents(grounds, grounds.quorum)
        if objections:
            raise ForbiddenNowError("; ".join(objections))

    def _of_another_worker(self, grounds: Grounds) -> Iterator[str]:
        """What the run was begun with, and this worker is not."""
        if grounds.tier != self._tier:
            yield f"the run is of tier {grounds.tier}, and this worker of {self._tier}"
        ours = (SignedApprovers.method, TrustedApprovers.method)
        if grounds.identity in ours and grounds.identity != self._identity:
            yield f"the run's approvers are {grounds.identity}, and this worker's {self._identity}"

    async def _to_consents(self, grounds: Grounds, quorum: Quorum) -> tuple[str, ...]:
        is_signed = grounds.identity == SignedApprovers.method
        keys = await self._keys_of_now() if is_signed else None
        # Stops have said by now which keys and delegations are revoked.
        # By the later of two clocks: a key must not count for longer since one of them is slow.
        now = max(activity.info().started_time, datetime.now(UTC))
        trust = Trust(grounds.identity, keys, (), (), now)
        return objections_to(grounds.consents, quorum, trust, requested_by=grounds.requested_by)

    async def _keys_of_now(self) -> tuple[ApproverKey, ...]:
        if self._approvers is None:
            return ()
        if self._known is None or self._known.asked.seconds_ago() >= self._cached_for:
            asked = Moment.now()
            self._known = _Keys(await keys_of(self._approvers), asked)
        return self._known.keys
