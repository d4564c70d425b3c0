"""Names in Cedar policies that its validator takes as they are: a policy for what isn't there never holds."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from agentflow.adapters.cedar_schema import CONTEXT_ATTRIBUTES, argument_names
from agentflow.contracts.rules import Tier
from agentflow.contracts.tools import Effect, ToolContract

_OWN: Mapping[str, Collection[str]] = {
    "principal": (),
    "resource": ("effect", "scopes"),
    "context": CONTEXT_ATTRIBUTES,
}
"""Attributes of what a policy may look at: Cedar takes a look for any other, which is never there."""
_COMPARED = ("==", "!=", "contains", "containsAny", "containsAll", "in")


@dataclass(frozen=True)
class KnownNames:
    """What policies over some tools may name."""

    tools: Collection[str]
    arguments: Collection[str]
    """Those that Cedar can hold."""
    sinks: Collection[str]
    scopes: Collection[str]

    @staticmethod
    def of(contracts: Mapping[str, ToolContract]) -> "KnownNames":
        """Those of tools."""
        every = contracts.values()
        return KnownNames(
            tools=frozenset(contracts),
            arguments=frozenset(name for one in every for name in argument_names(one.input_schema)),
            sinks=frozenset(name for one in every for name in _sinks(one)),
            scopes=frozenset(scope for one in every for scope in one.scopes),
        )


def _sinks(contract: ToolContract) -> Collection[str]:
    if contract.sinks is None:
        return cast(Mapping[str, Any], contract.input_schema.get("properties", {}))
    return [sink.argument for sink in contract.sinks]


def unknown_name(policy: Any, known: KnownNames) -> str | None:
    """The first name in a policy that is none, in words; ``None`` where all are there.

    Args:
        policy: In Cedar's JSON form.
        known: What there is.
    """
    entities: Mapping[str, Collection[str]] = {"Tier": get_args(Tier), "Tool": known.tools}
    attributes: Mapping[str, Collection[str]] = {
        "untrusted_sinks": known.sinks,
        "scopes": known.scopes,
        "effect": get_args(Effect),
    }
    called, meant = _heads(policy, "action"), _heads(policy, "resource")
    if called and meant and called.isdisjoint(meant):
        return (
            f"the action {_listed(called)} and the resource {_listed(meant)}, which are one tool in each call"
        )
    for part in _parts(policy):
        there = entities.get(f"{part.get('type')}")
        if there is not None and "id" in part and part["id"] not in there:
            return f'{part["type"]}::"{part["id"]}", and there is {_listed(there)}'
        looked: dict[str, Any] = part.get("has") or {}
        its_own = _OWN.get(f"{cast(dict[str, Any], looked.get('left') or {}).get('Var')}")
        if its_own is not None and looked["attr"] not in its_own:
            return f"the attribute {looked['attr']!r}, and there is {_listed(its_own)}"
        is_argument = _attribute(looked.get("left")) in ("arguments", "amounts")
        if is_argument and looked["attr"] not in known.arguments:
            return f"the argument {looked['attr']!r}, and there is {_listed(known.arguments)}"
        for one, other in _compared(part):
            there = attributes.get(_attribute(one) or "")
            if there is not None and (missing := [text for text in _texts(other) if text not in there]):
                return f"{missing[0]!r} in {_attribute(one)}, and there is {_listed(there)}"
    return None


def _heads(policy: Any, place: str) -> frozenset[str]:
    """The names in a part of a policy's head; empty where it is for any."""
    head: dict[str, Any] = cast(dict[str, Any], policy).get(place) or {}
    named: list[dict[str, Any]] = [*head.get("entities", ()), *([head["entity"]] if "entity" in head else [])]
    return frozenset(f"{one['id']}" for one in named if "id" in one)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a policy."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found = cast(dict[str, Any], part)
            yield found
            waiting += found.values()
        elif isinstance(part, list):
            waiting += cast(list[Any], part)


def _compared(part: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """What is held against what, either way round."""
    for operator in _COMPARED:
        sides = part.get(operator)
        if isinstance(sides, dict) and {"left", "right"} <= sides.keys():
            yield sides["left"], sides["right"]
            yield sides["right"], sides["left"]


def _attribute(expression: Any) -> str | None:
    """The attribute that an expression is, of the context or the resource."""
    if not isinstance(expression, dict):
        return None
    access: dict[str, Any] = cast(dict[str, Any], expression).get(".") or {}
    return access["attr"] if access.get("left") in ({"Var": "context"}, {"Var": "resource"}) else None


def _texts(expression: Any) -> list[str]:
    """The texts that an expression is, or is a set of."""
    if not isinstance(expression, dict):
        return []
    found = cast(dict[str, Any], expression)
    parts: list[Any] = found.get("Set", [found])
    return [text for part in parts if isinstance(text := part.get("Value"), str)]


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
