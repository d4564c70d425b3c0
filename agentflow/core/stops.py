"""Which stops forbid a write."""

from collections.abc import Iterable

from agentflow.contracts.grounds import Grounds
from agentflow.contracts.stops import Stop, delegation_stop, key_stop
from agentflow.core.person import person

_NAMED = ("agent:", "tenant:")
"""Keys whose name is compared as names are; ids of keys and delegations are compared as they are."""


def forbidding(stops: Iterable[Stop], grounds: Grounds) -> tuple[Stop, ...]:
    """The stops that hold against a write."""
    concerned = {
        "fleet",
        _comparable(f"agent:{grounds.agent}"),
        _comparable(f"tenant:{grounds.tenant}"),
        *map(key_stop, grounds.kids),
        *map(delegation_stop, grounds.delegations),
    }
    return tuple(stop for stop in stops if stop.holds and _comparable(stop.key) in concerned)


def concerns(stop: str, agent: str, tenant: str) -> bool:
    """Whether the freeze of a key concerns what an agent does for a tenant."""
    return stop == "fleet" or _comparable(stop) in {
        _comparable(f"agent:{agent}"),
        _comparable(f"tenant:{tenant}"),
    }


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


def _comparable(key: str) -> str:
    return person(key) if key.startswith(_NAMED) else key
