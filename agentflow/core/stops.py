"""Which stops forbid a write."""

from collections.abc import Iterable

from agentflow.contracts.grounds import Grounds
from agentflow.contracts.stops import Stop, delegation_stop, key_stop
from agentflow.core.person import same_person


def forbidding(stops: Iterable[Stop], grounds: Grounds) -> tuple[Stop, ...]:
    """The stops that hold against a write."""
    used = {*map(key_stop, grounds.kids), *map(delegation_stop, grounds.delegations)}
    return tuple(
        stop
        for stop in stops
        if stop.holds and (stop.key in used or concerns(stop.key, grounds.agent, grounds.tenant))
    )


def concerns(stop: str, agent: str, tenant: str) -> bool:
    """Whether the freeze of a key concerns what an agent does for a tenant."""
    if not is_freeze(stop):
        return False
    # Of two names that look alike, both: a freeze stops too much rather than too little.
    return stop == "fleet" or any(same_person(stop, name) for name in (f"agent:{agent}", f"tenant:{tenant}"))


def is_freeze(key: str) -> bool:
    """Whether a stop's key is a freeze's, and not a revocation's."""
    return not key.startswith(("key:", "delegation:"))


def objection(stop: Stop) -> str:
    """A stop as the reason why a write is not made."""
    kind, _, name = stop.key.partition(":")
    match kind:
        case "key":
            said = f"the approver's key {name} is revoked"
        case "delegation":
            said = f"the delegation {name} is revoked"
        case _:
            said = f"writes are frozen for {stop.key}"
    since = stop.since.isoformat(timespec="seconds")
    return f"{said} (by {stop.by}, since {since}): {stop.reason}".removesuffix(": ")
