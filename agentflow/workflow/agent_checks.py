"""What an agent's class may say: a slip in a name or a type must not leave a default in its place."""

from collections.abc import Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, cast, get_args

from agentflow.contracts.budget import Budget
from agentflow.contracts.effects import EarlierEffects
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.manifest import Release
from agentflow.contracts.model import ModelOptions
from agentflow.contracts.wire import LEAST_DURATION
from agentflow.core.rules import RuleSet
from agentflow.errors import WorkflowDefinitionError

_KINDS: dict[str, type] = {
    "instructions": str,
    "model_options": ModelOptions,
    "budget": Budget,
    "release": Release,
    "approval_timeout": timedelta,
    "escalation_timeout": timedelta,
    "loop_limits": LoopLimits,
    "max_history_bytes": int,
    "max_input_bytes": int,
}
_LISTS = ("models", "tools", "untrusted_input")
_OTHERS = ("rules", "compaction", "approver_verifier", "earlier_effects")
_KNOWN = (*_KINDS, *_LISTS, *_OTHERS)
_ALIKE = 0.8
"""How alike two names are of which one is taken for a slip of the other, as difflib measures it."""


def check_attributes(agent: Any) -> None:
    """Hold an agent's attributes against their types, and their names against those that mean something.

    Raises:
        WorkflowDefinitionError: one is of another type, or misspelt.
    """
    _check_spelling(agent)
    for name, wanted in _KINDS.items():
        value = getattr(agent, name)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise _wrong(agent, name, f"is of type {type(value).__name__}, not {wanted.__name__}")
        if value == 0 or (isinstance(value, timedelta) and value < LEAST_DURATION):
            raise _wrong(agent, name, "must be more than nothing")
    _check_lists(agent)
    if agent.earlier_effects not in get_args(EarlierEffects):
        raise _wrong(agent, "earlier_effects", f"is one of {', '.join(get_args(EarlierEffects))}")
    if agent.compaction is not None and not callable(getattr(agent.compaction, "plan", None)):
        raise _wrong(agent, "compaction", "is a strategy with plan(), or None")


def _check_spelling(agent: Any) -> None:
    kinds: tuple[type, ...] = agent.__mro__
    for kind in kinds:
        if kind.__module__.startswith("agentflow.workflow."):
            return
        for name, value in vars(kind).items():
            if name.startswith("_"):
                continue
            meant = get_close_matches(name, _KNOWN, 1, _ALIKE)
            if meant and name not in _KNOWN and not callable(value) and not isinstance(value, property):
                raise WorkflowDefinitionError(
                    f"{agent.__name__}.{name} means nothing; {meant[0]} does: rename it, or begin it with _"
                )


def _check_lists(agent: Any) -> None:
    for name in _LISTS:
        value = getattr(agent, name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _wrong(agent, name, f'is a tuple: write {name} = ("...",), with the comma')
    for pointer in agent.untrusted_input:
        if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
            raise _wrong(agent, "untrusted_input", f"has {pointer!r}, which is no JSON Pointer such as /body")


def check_names_in_rules(agent: Any, rules: RuleSet) -> None:
    """Refuse a rule for a tool or a scope that the agent doesn't have, and has almost.

    Rules may name tools of other agents, since sets are shared.

    Raises:
        WorkflowDefinitionError: a name looks like a slip.
    """
    contracts = [tool.contract for tool in agent.tools]
    known = {
        "tools": [contract.name for contract in contracts],
        "scopes": sorted({scope for contract in contracts for scope in contract.scopes}),
    }
    for rule in rules.rules:
        for field, names in known.items():
            for name in cast(tuple[str, ...], getattr(rule, field)):
                meant = get_close_matches(name, names, 1, _ALIKE)
                if meant and name not in names:
                    raise WorkflowDefinitionError(
                        f"{agent.__name__}: rule {rule.name} is for {name!r}, which no tool is or needs; "
                        f"{meant[0]!r} is there"
                    )


def _wrong(agent: Any, name: str, problem: str) -> WorkflowDefinitionError:
    return WorkflowDefinitionError(f"{agent.__name__}.{name} {problem}")
