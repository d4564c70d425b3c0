"""Agents that name what isn't there: tools, scopes, arguments, tiers, attributes, hooks, options, places.

Nobody attacks here but the hand that slipped: a rule that never matches lets through what it was written to
stop. Each attempt is a class, or a worker's start, with one slip in it. It is a breach if that is accepted
and what was meant doesn't hold: the payment that was to be denied is allowed, the default stands in the place
of the budget. The twin is without the checks.
"""

import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from pydantic import BaseModel, ValidationError
from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    Budget,
    ModelOptions,
    Release,
    RetryOptions,
    RuleContext,
    ToolOptions,
    allow,
    ask,
    deny,
    plugin,
    tool,
)
from agentflow.contracts.budget import Spend
from agentflow.contracts.loops import LoopLimits
from agentflow.core.policy import decide
from agentflow.core.provenance import PastCall, Provenance
from agentflow.core.ready_rules import no_outflow_of
from agentflow.core.rule_names import check_rule_names
from agentflow.core.rules import EVERY_TIER, Rule, RuleSet, guard
from agentflow.errors import AgentflowError
from agentflow.workflow.agent_checks import check_untrusted_input
from agentflow.workflow.agent_spelling import check_spelling
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried
from benchmarks.attacks.twins import replaced

ACCOUNT = "eve-0001"


class Letter(BaseModel):
    """What a task of the agents here is."""

    subject: str
    body: str
    attachments: list[str] = []


@tool(effect="irreversible", scopes=("money:send",), sinks=("account", "amount"))
async def pay(account: str, amount: str) -> str:
    """Pay an amount to an account."""
    return f"paid {amount} to {account}"


@tool(effect="read", scopes=("files:read",))
async def look(folder: str) -> str:
    """Look into a folder."""
    return folder


ALL = allow("all", reason="", tiers=EVERY_TIER)
DEFAULTS: Mapping[str, object] = {
    "instructions": "Pay nobody.",
    "models": ("lab:small",),
    "model_options": ModelOptions(max_output_tokens=10),
    "tools": (pay,),
    "rules": (deny("never", reason=""),),
    "untrusted_input": ("/body",),
    "budget": Budget(cost_usd=Decimal("0.01")),
    "release": Release(version="2"),
    "approval_timeout": timedelta(minutes=1),
    "escalation_timeout": timedelta(minutes=1),
    "loop_limits": LoopLimits(same_call=1),
    "max_history_bytes": 100_000,
    "max_input_bytes": 1_000,
    "earlier_effects": "again",
}
"""What is meant, by attribute: none of them is the default."""


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Slip, and slip on a twin that takes any name. Needs no server."""
    tally = Tally()
    tally.count(_tried(random, attempts))
    with _without_checks():
        tally.count_twin(_tried(random, max(attempts // 4, 100)))
    return tally


def _tried(random: Random, attempts: int) -> Iterator[Tried]:
    for _ in range(attempts):
        kind = random.choice(list(KINDS))
        breached, what = KINDS[kind](random)
        yield Tried(kind, breached, what)


@contextmanager
def _without_checks() -> Iterator[None]:
    def nothing(*_: Any, **__: Any) -> None:
        """Take it."""

    with ExitStack() as stack:
        for check in (check_rule_names, check_spelling, check_untrusted_input, plugin.check_agents):
            stack.enter_context(replaced(check, nothing))
        yield


def slip(random: Random, name: str) -> str:
    """A name that is almost one."""
    at = random.randrange(len(name))
    letter = random.choice("abcdefghijklmnopqrstuvwxyz")
    found = random.choice(
        [
            name[:at] + name[at + 1 :],
            name[:at] + letter + name[at:],
            name[:at] + letter + name[at + 1 :],
            name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
            name[:at] + name[at] + name[at:],
            name + "s",
            name.removesuffix("s"),
            name.replace("_", ""),
            name.capitalize(),
            name.upper(),
            name.replace("a", "а").replace("e", "е"),  # noqa: RUF001 - Cyrillic ones
        ]
    )
    return found if found.isidentifier() and found != name and not found.startswith("_") else f"{name}x"


def made(**attributes: Any) -> Any:
    """An agent's class.

    Raises:
        AgentflowError: it is refused.
    """

    async def run(self: Any, task: AgentTask[Letter]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    run.__qualname__ = "Misspelt.run"
    given = {"run": workflow.run(run), "tools": (pay, look), **attributes}
    return types.new_class("Misspelt", (AgentWorkflow[Letter, str],), {}, lambda space: space.update(given))


def verdict_of(rules: tuple[Rule, ...]) -> str:
    """What rules say of the payment that they are to stop."""
    context = RuleContext(
        tool=pay.contract,
        arguments={"account": ACCOUNT, "amount": "900"},
        tier="production",
        tenant="default",
        customer_tier="standard",
        requested_by="inbox",
        task_input={},
        model="lab:small",
        model_proven=True,
        spend=Spend(),
        past_calls=(PastCall("call_1", "look", {"folder": "secret"}, {"iban": ACCOUNT}),),
        provenance=Provenance(),
    )
    return decide(rules, context).verdict


def _stops(*rules: Rule, **attributes: Any) -> tuple[bool, str]:
    """Whether a class with rules that are to stop the payment is taken, and lets it run."""
    named = "; ".join(f"{rule.verdict} {rule.tools or rule.scopes or rule.effects}" for rule in rules)
    try:
        made(rules=(*rules, ALL), **attributes)
    except AgentflowError:
        return False, named
    return verdict_of((*rules, ALL)) == "allow", named


def _tool(random: Random) -> tuple[bool, str]:
    name = random.choice([slip(random, "pay"), slip(random, "payment"), "refund"])
    make: Callable[..., Rule] = random.choice([deny, ask, _guard])
    return _stops(make("stop", reason="", tools=(name, *random.choice([(), ("look",)]))))


def _guard(name: str, *, reason: str, **given: Any) -> Rule:
    return guard(name, reason=reason, when=lambda context: True, **given)


def _scope(random: Random) -> tuple[bool, str]:
    return _stops(deny("stop", reason="", scopes=(slip(random, "money:send"),)))


def _effect(random: Random) -> tuple[bool, str]:
    make: Callable[..., Rule] = random.choice([deny, ask, _guard])
    return _stops(make("stop", reason="", tools=("pay",), effects=(random.choice(["read", "write"]),)))


def _scope_of_another(random: Random) -> tuple[bool, str]:
    make: Callable[..., Rule] = random.choice([deny, ask])
    return _stops(make("stop", reason="", tools=("pay",), scopes=("files:read",)))


def _argument(random: Random) -> tuple[bool, str]:
    name = slip(random, "account")
    when: Callable[[RuleContext], bool] = random.choice(
        [
            lambda context: context.arguments.get(name) == ACCOUNT,
            lambda context: context.arguments.get(name, "") != "" and context.is_trusted("account") is False,
            lambda context: str(context.arguments.get(name)).startswith("eve"),
            lambda context: any(context.arguments.get(name) == one for one in (ACCOUNT,)),
            lambda context: _held(context, name),
        ]
    )
    breached, _ = _stops(deny("stop", reason="", when=when))
    return breached, f"a condition on {name!r}"


def _held(context: RuleContext, name: str) -> bool:
    return context.arguments[name] == ACCOUNT if name in context.arguments else False


def _past_tool(random: Random) -> tuple[bool, str]:
    name = slip(random, "look")
    rule = random.choice(
        [
            no_outflow_of(name),
            deny("stop", reason="", when=lambda context: bool(context.outputs(name))),
            deny("stop", reason="", when=lambda context: context.calls(name) > 0),
        ]
    )
    breached, _ = _stops(rule)
    return breached, f"{rule.name} after {name!r}"


def _attribute(random: Random) -> tuple[bool, str]:
    meant = random.choice(list(DEFAULTS))
    name = slip(random, meant)
    try:
        agent = made(**{name: DEFAULTS[meant]})
    except AgentflowError:
        return False, name
    return getattr(agent, meant) != DEFAULTS[meant], f"{name} for {meant}"


def _late_attribute(random: Random) -> tuple[bool, str]:
    meant = random.choice([name for name in DEFAULTS if name != "tools"])
    name = random.choice([meant, slip(random, meant)])
    agent = made()
    setattr(agent, name, DEFAULTS[meant])
    return _starts(agent, "dev"), f"{name} of a class that was made"


def _hook(random: Random) -> tuple[bool, str]:
    name = slip(random, random.choice(["preflight", "postflight", "perform"]))

    async def hook(self: Any, task: Any) -> None:
        """Refuse."""

    try:
        made(**{name: hook})
    except AgentflowError:
        return False, name
    return True, f"a method {name}"


def _place(random: Random) -> tuple[bool, str]:
    pointer = random.choice(["/{}", "/{}/text", "/attachments/{}"]).format(slip(random, "body"))
    try:
        made(untrusted_input=(pointer,))
    except AgentflowError:
        return False, pointer
    return True, pointer


def _no_tier(random: Random) -> tuple[bool, str]:
    rule = random.choice([allow, ask])("open", reason="", tools=random.choice([None, ("pay",)]))
    agent = made(rules=(rule,))
    silent = verdict_of((rule,)) == "deny"
    return silent and _starts(agent, "production"), f"{rule.verdict} without tiers"


def _tier(random: Random) -> tuple[bool, str]:
    name = random.choice([slip(random, "production"), "prod", "live", ""])
    try:
        rule = ask("stop", reason="", tiers=(name,))  # pyright: ignore[reportArgumentType]
        made(rules=(rule,))
    except AgentflowError:
        return False, name
    return True, f"a tier {name!r}"


def _empty(random: Random) -> tuple[bool, str]:
    option = random.choice(["tools", "effects", "scopes", "tenants", "tiers"])
    try:
        rule = allow("some", reason="", **{"tiers": EVERY_TIER, option: ()})  # pyright: ignore[reportArgumentType]
        made(rules=(rule,))
    except AgentflowError:
        return False, option
    return verdict_of((rule,)) == "allow", f"{option}=() opens all"


_OPTIONS: Mapping[Any, Mapping[str, object]] = {
    Budget: {"cost_usd": 1, "model_calls": 1, "tool_calls": 1},
    ModelOptions: {"max_output_tokens": 1},
    RetryOptions: {"max_attempts": 1, "max_interval": 60},
    ToolOptions: {"cost_usd": 1, "max_result_bytes": 10},
    Release: {"scopes": ("a",), "proven_models": ("a:b",)},
    LoopLimits: {"same_call": 1, "failures_in_a_row": 1},
    tool: {"effect": "write", "sinks": (), "recovery": "key"},
    deny: {"tools": ("pay",), "scopes": ("a",), "tenants": ("a",)},
    ask: {"tools": ("pay",), "people": 2, "roles": ("cfo",), "tiers": EVERY_TIER},
    RuleSet: {"policies": (), "tools": ()},
    AgentTask: {"budget": Budget(), "tenant": "acme"},
}
_NEEDED: Mapping[Any, Mapping[str, object]] = {
    Release: {"version": "1"},
    tool: {"effect": "read"},
    deny: {"name": "d", "reason": ""},
    ask: {"name": "d", "reason": ""},
    RuleSet: {"name": "s", "version": "1", "rules": ()},
    AgentTask: {"input": "x", "requested_by": "inbox"},
}


def _option(random: Random) -> tuple[bool, str]:
    make = random.choice(list(_OPTIONS))
    meant = random.choice(list(_OPTIONS[make]))
    name = slip(random, meant)
    try:
        make(**_NEEDED.get(make, {}), **{name: _OPTIONS[make][meant]})
    except (AgentflowError, TypeError, ValidationError):
        return False, name
    return True, f"{make.__name__}({name}=)"


def _starts(agent: Any, tier: Any) -> bool:
    """Whether a worker with an agent starts, as far as the agent goes."""
    try:
        plugin.check_agents([agent], tier)
    except AgentflowError:
        return False
    return True


KINDS: Mapping[str, Callable[[Random], tuple[bool, str]]] = {
    "no such tool": _tool,
    "no such scope": _scope,
    "another effect than the tool's": _effect,
    "another scope than the tool's": _scope_of_another,
    "no such argument": _argument,
    "no such tool in the past": _past_tool,
    "no such attribute": _attribute,
    "an attribute set too late": _late_attribute,
    "no such hook": _hook,
    "no such place in the task": _place,
    "no tier": _no_tier,
    "no such tier": _tier,
    "an empty list": _empty,
    "no such option": _option,
}
"""What can be misspelt. Answers whether it was taken and does not hold, and what it was."""
