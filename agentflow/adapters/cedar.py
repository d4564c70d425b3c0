"""Cedar policies beside, or in place of, Python rules. Extra: ``cedar``.

    RULES = RuleSet("refunds", "3", rules=(...), policies=(cedar_policies(TEXT, tools),))

The principal is ``Agent::"<name>"``, the action ``Action::"<tool>"``, the resource ``Tool::"<tool>"`` with
``effect`` and ``scopes``. The context has ``arguments``; ``amounts``, those of them that are numbers, as
decimals; ``tier``, ``tenant``, ``customer_tier``, ``requested_by``, ``requester_verified``, ``model_proven``,
``spent_usd``, ``tool_calls``; and ``untrusted_sinks``, the sinks whose value nothing trusted has.

A ``permit`` with ``@ask("why")`` lets a call run if people agree: ``@people("2")`` of them, with one of
``@roles("finance, cfo")``. ``@id`` and ``@reason`` are what people read. Other annotations are refused, since
Cedar takes any, and a misspelt ``@ask`` would be an allow. Cedar denies what nothing permits, reads included,
and deny from either engine wins.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, cast

from agentflow.adapters.cedar_names import KnownNames, unknown_name
from agentflow.adapters.cedar_schema import (
    amounts_as_cedar,
    arguments_as_cedar,
    decimal_as_cedar,
    schema_of,
)
from agentflow.contracts.rules import MAX_PEOPLE, Quorum
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Contract, Json
from agentflow.core.rule_checks import quorum_of
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Match
from agentflow.errors import ConfigurationError, MissingExtraError
from agentflow.ports.tooling import HasContract

try:
    import cedarpy
except ImportError as error:  # pragma: no cover - the extra is installed where this is tested
    raise MissingExtraError("agentflow.adapters.cedar", "cedar") from error

_ANNOTATIONS = frozenset({"id", "reason", "ask", "people", "roles"})
_PEOPLE = re.compile(r"[1-9][0-9]?")
_PRODUCTION = {"type": "Tier", "id": "production"}


@dataclass(frozen=True)
class _Policy:
    name: str
    reason: str
    is_permit: bool
    asks: Quorum | None
    names_production: bool
    json: Any
    """In Cedar's JSON form."""
    opens_without_tier: bool
    """Whether it permits a tool that writes, and names no tier: in production it never matches."""


@dataclass(frozen=True)
class _Parsed:
    """Policies and schema, parsed once a process."""

    handle: Any
    schema: Any
    policies: Mapping[str, _Policy]


class _ByValue(Contract):
    """As a manifest has the policies."""

    policies: str
    tools: tuple[str, ...]


class CedarPolicies:
    """Cedar policies over an agent's tools. Make them with ``cedar_policies``."""

    def __init__(self, text: str, contracts: Mapping[str, ToolContract]) -> None:
        self._text = text
        self._contracts = contracts
        self._schema_text = json.dumps(schema_of(contracts), sort_keys=True)
        writing = frozenset(name for name, one in contracts.items() if one.sure_effect != "read")
        self._parsed = _parse(text, self._schema_text, writing)
        known = KnownNames.of(contracts)
        for name, policy in self._parsed.policies.items():
            if unknown := unknown_name(policy.json, known):
                raise ConfigurationError(
                    f"Cedar policy {policy.name or name} names {unknown}: it never holds"
                )
        self.engine: str = f"cedar {version('cedarpy')}"

    @property
    def without_tier(self) -> tuple[str, ...]:
        """The permits for tools that write which name no tier. In production none of them matches."""
        return tuple(policy.name for policy in self._parsed.policies.values() if policy.opens_without_tier)

    @property
    def content(self) -> Json:
        """Policies and schema: a run is pinned to their hash."""
        return {"policies": self._text, "schema": self._schema_text}

    @property
    def by_value(self) -> Json:
        """The policies' text, and the tools that they are over."""
        return {"policies": self._text, "tools": sorted(self._contracts)}

    def restored(self, by_value: Json, tools: Mapping[str, ToolContract]) -> "CedarPolicies":
        """The policies of a run that was pinned to another text, or to other tools.

        Tools of other agents, where one text is for several, are taken as they are today.

        Raises:
            ConfigurationError: this version of Cedar takes them no more.
            KeyError: a tool of another agent is gone.
        """
        pinned = _ByValue.model_validate(by_value)
        known = {**self._contracts, **tools}
        return CedarPolicies(pinned.policies, {name: known[name] for name in pinned.tools})

    def judge(self, context: RuleContext) -> Sequence[Match]:
        """What the policies say of a call.

        Raises:
            ValueError: Cedar could not decide: a policy failed, or a value isn't one that Cedar has.
        """
        if context.tool.name not in self._contracts:
            raise ValueError(f"the policies don't know the tool {context.tool.name}")
        answer = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType] - bare dicts there
            _request(context), self._parsed.handle, _entities(context), self._parsed.schema
        )
        # Cedar skips a policy that fails, and a skipped forbid would let through what it forbids.
        if answer.diagnostics.errors or answer.decision is cedarpy.Decision.NoDecision:
            raise ValueError("; ".join(map(str, answer.diagnostics.errors)) or "Cedar made no decision")
        found = [self._parsed.policies[policy] for policy in answer.diagnostics.reasons]
        if answer.decision is cedarpy.Decision.Allow:
            return _permitted(found, context)
        return [Match(policy.name, "deny", policy.reason) for policy in found] or [
            Match(self.engine, "deny", f"no Cedar policy permits {context.tool.name}")
        ]


def cedar_policies(text: str, tools: Iterable[HasContract]) -> CedarPolicies:
    """Parse Cedar policies, and check them against a schema made of the tools' contracts.

    Args:
        text: The policies, in Cedar's own syntax.
        tools: All tools of the agent.

    Raises:
        ConfigurationError: they don't parse, or don't fit the schema; the text says which and why.
    """
    return CedarPolicies(text, {tool.contract.name: tool.contract for tool in tools})


@lru_cache(maxsize=64)
def _parse(text: str, schema: str, writing: frozenset[str]) -> _Parsed:
    try:
        handle = cedarpy.PolicySet.from_str(text)
        parsed_schema = cedarpy.Schema.from_json_str(schema)
        described: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise ConfigurationError(f"the Cedar policies can't be parsed: {error}") from error
    checked = cedarpy.validate_policies(  # pyright: ignore[reportUnknownMemberType] - bare dicts there
        text, schema
    )
    if not checked.validation_passed:
        told = "; ".join(str(problem) for problem in checked.errors)
        raise ConfigurationError(f"the Cedar policies don't fit the tools: {told}")
    if described.get("templates"):
        raise ConfigurationError("the Cedar policies have templates, which permit nothing: write policies")
    policies = {
        name: _described(name, policy, writing) for name, policy in described["staticPolicies"].items()
    }
    return _Parsed(handle, parsed_schema, policies)


def _described(policy_id: str, policy: dict[str, Any], writing: frozenset[str]) -> _Policy:
    notes: dict[str, str | None] = policy.get("annotations", {})
    name = notes.get("id") or policy_id
    if unknown := sorted(notes.keys() - _ANNOTATIONS):
        known = ", ".join(f"@{note}" for note in sorted(_ANNOTATIONS))
        raise ConfigurationError(
            f"Cedar policy {name}: @{unknown[0]} means nothing here; there are {known}, in small letters"
        )
    if empty := sorted(note for note, said in notes.items() if not (said or "").strip()):
        raise ConfigurationError(f"Cedar policy {name}: @{empty[0]} says nothing")
    asks = None
    if "ask" in notes:
        asks = _quorum(name, notes.get("people") or "1", notes.get("roles"))
    elif {"people", "roles"} & notes.keys():
        raise ConfigurationError(f"Cedar policy {name}: @people and @roles belong to @ask")
    if asks and policy["effect"] != "permit":
        raise ConfigurationError(f"Cedar policy {name}: @ask belongs to a permit")
    reason = notes.get("reason") or notes.get("ask") or f"Cedar policy {name}"
    is_permit = policy["effect"] == "permit"
    opens = is_permit and _is_for(policy, writing) and not _has_part(policy, _is_tier)
    return _Policy(name, reason, is_permit, asks, _has_part(policy, _is_production), policy, opens)


def _quorum(name: str, people: str, roles: str | None) -> Quorum:
    named = tuple(role.strip() for role in roles.split(",")) if roles else ()
    # An empty list of roles would let anybody agree.
    if not all(named) or len(set(named)) < len(named):
        raise ConfigurationError(f"Cedar policy {name}: @roles has an empty role, or one twice")
    if not _PEOPLE.fullmatch(people) or int(people) > MAX_PEOPLE:
        raise ConfigurationError(f"Cedar policy {name}: @people is no number from 1 to {MAX_PEOPLE}")
    return quorum_of(name, int(people), named)


def _has_part(policy: Any, is_it: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether an object in a policy's JSON is one that is looked for."""
    if isinstance(policy, dict):
        part = cast(dict[str, Any], policy)
        return is_it(part) or any(_has_part(inner, is_it) for inner in part.values())
    return isinstance(policy, list) and any(_has_part(inner, is_it) for inner in cast(list[Any], policy))


def _is_production(part: dict[str, Any]) -> bool:
    return part == _PRODUCTION


def _is_tier(part: dict[str, Any]) -> bool:
    return part.get("type") == "Tier"


def _is_for(policy: dict[str, Any], tools: frozenset[str]) -> bool:
    """Whether a policy is for one of some tools, as far as its head says."""
    action: dict[str, Any] = policy.get("action", {})
    named: list[dict[str, Any]] = [
        *action.get("entities", ()),
        *([action["entity"]] if "entity" in action else []),
    ]
    return not named or any(one.get("id") in tools for one in named)


def _permitted(found: Sequence[_Policy], context: RuleContext) -> Sequence[Match]:
    """What the permits come to. In production a write needs one that names it, as with Python rules."""
    if context.tier == "production" and context.tool.sure_effect != "read":
        named = [policy for policy in found if policy.names_production]
        if not named:
            names = ", ".join(policy.name for policy in found)
            return [Match(names, "deny", 'in production a permit must name Tier::"production"')]
        found = named
    return [
        Match(policy.name, "ask" if policy.asks else "allow", policy.reason, policy.asks) for policy in found
    ]


def _request(context: RuleContext) -> dict[str, Any]:
    schema = context.tool.input_schema
    return {
        "principal": {"type": "Agent", "id": context.agent},
        "action": {"type": "Action", "id": context.tool.name},
        "resource": {"type": "Tool", "id": context.tool.name},
        "context": {
            "arguments": arguments_as_cedar(schema, context.arguments),
            "amounts": amounts_as_cedar(schema, context.arguments),
            "tier": _entity("Tier", context.tier),
            "tenant": _entity("Tenant", context.tenant),
            "customer_tier": context.customer_tier,
            "requested_by": context.requested_by,
            "requester_verified": context.requester_verified,
            "model_proven": context.model_proven,
            "spent_usd": decimal_as_cedar(context.spend.cost_usd),
            "tool_calls": context.spend.tool_calls,
            "untrusted_sinks": sorted({sink.argument for sink in context.untrusted_sinks()}),
        },
    }


def _entities(context: RuleContext) -> list[dict[str, Any]]:
    tool = {"effect": context.tool.sure_effect, "scopes": list(context.tool.scopes)}
    bare = {"Agent": context.agent, "Tenant": context.tenant, "Tier": context.tier}
    return [
        {"uid": {"type": "Tool", "id": context.tool.name}, "attrs": tool, "parents": []},
        *({"uid": {"type": kind, "id": name}, "attrs": {}, "parents": []} for kind, name in bare.items()),
    ]


def _entity(kind: str, name: str) -> dict[str, Any]:
    return {"__entity": {"type": kind, "id": name}}
