"""The people of one payment, the list of keys that a worker reads, and what takes their word away."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from agentflow.adapters.signer import Signer, delegation_id
from agentflow.contracts.identity import ApproverKey

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ROLE = "finance"


class KeyList:
    """A list of approvers' keys that people edit."""

    def __init__(self) -> None:
        self.listed: dict[str, ApproverKey] = {}
        self.fails = False
        self.on_read: Callable[[str], Awaitable[None]] | None = None
        """Told ``before`` and ``after`` the list is read."""

    async def keys(self) -> tuple[ApproverKey, ...]:
        """The keys in it."""
        if self.on_read:
            await self.on_read("before")
        if self.fails:
            raise OSError("the disk is gone")
        found = tuple(self.listed.values())
        if self.on_read:
            await self.on_read("after")
        return found

    def add(self, signers: Sequence[Signer]) -> None:
        """Let people's keys count."""
        self.listed |= {signer.kid: signer.public() for signer in signers}

    def change(self, kid: str, **changes: object) -> None:
        """Edit one entry."""
        self.listed[kid] = self.listed[kid].model_copy(update=changes)


class People:
    """Two who approve, one perhaps in a third one's place, and two who come when those no longer count."""

    def __init__(self, number: int) -> None:
        def person(name: str) -> Signer:
            return Signer.generate(name, (ROLE,), kid=f"{name}-{number}")

        self.ann, self.bob, self.zoe = person("ann"), person("bob"), person("zoe")
        self.cy, self.dan = person("cy"), person("dan")
        self.delegation: str = self.zoe.delegation("ann", (ROLE,), timedelta(hours=1))

    @property
    def everybody(self) -> tuple[Signer, ...]:
        """All of them."""
        return (self.ann, self.bob, self.zoe, self.cy, self.dan)

    @property
    def delegation_id(self) -> str:
        """Names what Zoe lets Ann do."""
        return delegation_id(self.delegation)


def edit(keys: KeyList, victim: Signer, event: str) -> None:
    """Take from a key in the list what an event takes."""
    match event:
        case "removed":
            del keys.listed[victim.kid]
        case "replaced":
            other = Signer.generate(victim.subject, victim.roles, kid=victim.kid)
            keys.listed[victim.kid] = other.public()
        case "revoked":
            keys.change(victim.kid, revoked_at=LONG_AGO)
        case "role lost":
            keys.change(victim.kid, roles=("support",))
        case "person lost":
            keys.change(victim.kid, subjects=("eve",))
        case "expired":
            keys.change(victim.kid, expires=LONG_AGO)
        case _:
            raise ValueError(event)


EDITS = ("removed", "replaced", "revoked", "role lost", "person lost", "expired")
