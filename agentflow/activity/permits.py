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
from agentflow.contracts.stops import CACHED_FOR, HEARD_WITHIN
from agentflow.contracts.tools import ToolInvocation
from agentflow.core.approvers import TrustedApprovers
from agentflow.core.consents import Trust, objections_to
from agentflow.core.signed_approvers import SignedApprovers
from agentflow.errors import ForbiddenNowError, OutsideError
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
        heard_within: timedelta = HEARD_WITHIN,
    ) -> None:
        """Put the parts together.

        Args:
            stops: Reads what is forbidden; ``None`` where nothing here writes.
            tier: The worker's.
            approvers: Whose signed decisions count here; ``None`` takes people at their word.
            cached_for: How long the approvers' keys count for others than the write that read them.
            heard_within: A write that acts later than this after a key changed knows of it: keys that took
                longer count for nothing.
        """
        self._stops = stops
        self._tier: Tier = tier
        self._approvers = approvers
        self._identity = SignedApprovers.method if approvers else TrustedApprovers.method
        self._cached_for = cached_for.total_seconds()
        self._heard_within = heard_within.total_seconds()
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
        keys = await self._keys_of_now() if _rests_on_keys(grounds) else None
        # After the keys: what is written while they are read is heard, however long they take.
        if self._stops is not None:
            objections += await self._stops.objections(activity.info().namespace, grounds)
        if not objections and keys is not None and keys.asked.seconds_ago() >= self._heard_within:
            raise self._too_slow()
        if grounds.quorum is not None:
            objections += self._to_consents(grounds, grounds.quorum, keys)
        if objections:
            raise ForbiddenNowError("; ".join(objections))

    def _of_another_worker(self, grounds: Grounds) -> Iterator[str]:
        """What the run was begun with, and this worker is not."""
        if grounds.tier != self._tier:
            yield f"the run is of tier {grounds.tier}, and this worker of {self._tier}"
        ours = (SignedApprovers.method, TrustedApprovers.method)
        if grounds.identity in ours and grounds.identity != self._identity:
            yield f"the run's approvers are {grounds.identity}, and this worker's {self._identity}"

    def _to_consents(self, grounds: Grounds, quorum: Quorum, known: _Keys | None) -> tuple[str, ...]:
        keys = known.keys if known else None
        # Stops have said by now which keys and delegations are revoked.
        # By the later of two clocks: a key must not count for longer since one of them is slow.
        now = max(activity.info().started_time, datetime.now(UTC))
        trust = Trust(grounds.identity, keys, (), (), now)
        return objections_to(grounds.consents, quorum, trust, requested_by=grounds.requested_by)

    async def _keys_of_now(self) -> _Keys:
        if self._approvers is None:
            return _Keys((), Moment.now())
        known = self._known
        if known is None or known.asked.seconds_ago() >= self._cached_for:
            asked = Moment.now()
            known = self._known = _Keys(await keys_of(self._approvers), asked)
        return known

    def _too_slow(self) -> OutsideError:
        return OutsideError(
            f"the approvers' keys were not told within {self._heard_within:g} s; the tool was not called"
        )


def _rests_on_keys(grounds: Grounds) -> bool:
    return grounds.quorum is not None and grounds.identity == SignedApprovers.method
