"""A rule that names what isn't there would never match, and what it was to stop would run."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

from agentflow.contracts.rules import Tier
from agentflow.contracts.tools import Effect, ToolContract
from agentflow.core.rule_reads import arguments_of, names_of_arguments, reads_of
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    from agentflow.core.rules import Rule

_SHARED = (
    "a set of rules that agents with other tools share says which: RuleSet(name, version, rules, tools=(...))"
)


def check_rule_names(rules: Sequence["Rule"], contracts: Sequence[ToolContract], where: str) -> None:
    """Hold what rules name against the tools that they are for.

    Args:
        rules: They.
        contracts: Of all tools that they may name, those included that a release withholds.
        where: The agent or the set, for the message.

    Raises:
        ConfigurationError: a rule names a tool, a scope or an argument that none of them is, needs or has, or
            it can match no call of a tool that it names.
    """
    for rule in rules:
        if problem := _problem(rule, contracts):
            raise ConfigurationError(f"{where}: rule {rule.name} {problem}")


def _problem(rule: "Rule", contracts: Sequence[ToolContract]) -> str | None:
    by_name = {contract.name: contract for contract in contracts}
    for name in rule.tools:
        if name not in by_name:
            return f"is for the tool {name!r}, which isn't there{_instead(name, list(by_name))}"
        if not may_match(rule, by_name[name]):
            return _never(rule, by_name[name])
    scopes = {scope for contract in contracts for scope in contract.scopes}
    for scope in rule.scopes:
        if scope not in scopes:
            return f"is for the scope {scope!r}, which no tool needs{_instead(scope, sorted(scopes))}"
    return _unread(rule, contracts)


def may_match(rule: "Rule", contract: ToolContract) -> bool:
    """Whether a rule may match any call of a tool."""
    if rule.tools and contract.name not in rule.tools:
        return False
    if rule.effects and not effects_for(rule, contract) & set(rule.effects):
        return False
    return not rule.scopes or bool(set(rule.scopes) & set(contract.scopes))


def effects_for(rule: "Rule", contract: ToolContract) -> set[Effect]:
    """The effects of a tool as a rule takes them.

    That a tool only reads may be its server's word: it opens no door, and what closes one holds.
    """
    return {contract.effect, contract.sure_effect} if rule.closes else {contract.sure_effect}


def _never(rule: "Rule", contract: ToolContract) -> str:
    if rule.effects and not effects_for(rule, contract) & set(rule.effects):
        return (
            f"is for {contract.name} and for effect {', '.join(rule.effects)}, and that tool's is "
            f"{contract.sure_effect}: it would never match"
        )
    return (
        f"is for {contract.name} and for scope {', '.join(rule.scopes)}, and that tool needs "
        f"{', '.join(contract.scopes) or 'none'}: it would never match"
    )


def _unread(rule: "Rule", contracts: Sequence[ToolContract]) -> str | None:
    """What a condition reads that no call has."""
    reads = reads_of(rule.when)
    tools = [contract.name for contract in contracts]
    for name in sorted({*reads.tools, *rule.past_tools}):
        if name not in tools:
            return f"looks at the tool {name!r}, which isn't there{_instead(name, tools)}"
    for kind, asked, there in (
        ("tier", reads.tiers, get_args(Tier)),
        ("effect", reads.effects, get_args(Effect)),
    ):
        if unknown := sorted(asked.difference(there)):
            return f"looks for the {kind} {unknown[0]!r}, and there are {', '.join(there)}"
    arguments = arguments_of([contract for contract in contracts if may_match(rule, contract)])
    known = names_of_arguments(contracts)
    if known is None or not reads.arguments:
        return None
    everywhere = sorted(known)
    for name in sorted(reads.arguments):
        if name not in everywhere:
            return f"reads the argument {name!r}, which no tool has{_instead(name, everywhere)}"
    if arguments and not any(reads.arguments & (names or frozenset()) for names in arguments.values()):
        theirs = f"{', '.join(arguments)} {'has' if len(arguments) == 1 else 'have'}"
        return f"reads {', '.join(sorted(reads.arguments))}, which {theirs} not"
    return None


def _instead(name: str, known: Sequence[str]) -> str:
    """What to write in the place of a name."""
    if close := get_close_matches(name, known, 1, 0.6):
        return f"; {close[0]!r} is"
    there = ", ".join(known[:12]) or "none"
    return f" (there: {there}); {_SHARED}"
