"""What an agent's class may say: a slip in a name or a type must not leave a default in its place."""

from collections.abc import Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, get_args

from temporalio import workflow

from agentflow.contracts.budget import Budget
from agentflow.contracts.effects import EarlierEffects
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.manifest import Release
from agentflow.contracts.model import ModelOptions
from agentflow.contracts.wire import LEAST_DURATION, Contract, Json, exactly
from agentflow.core.places import has_place
from agentflow.core.rule_names import check_rule_names
from agentflow.core.rules import RuleSet
from agentflow.errors import ConfigurationError, WorkflowDefinitionError
from agentflow.workflow.agent_spelling import check_spelling

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
    "max_carried_bytes": int,
}
_LISTS = ("models", "tools", "untrusted_input")
_OTHERS = ("rules", "compaction", "approver_verifier", "earlier_effects")
_KNOWN = (*_KINDS, *_LISTS, *_OTHERS)


def check_attributes(agent: Any) -> None:
    """Hold an agent's attributes against their types, and their names against those that mean something.

    Raises:
        WorkflowDefinitionError: one is of another type, or misspelt.
    """
    if not workflow.unsafe.in_sandbox():
        # There a class is made anew for each run; it was looked through when its worker started.
        check_spelling(agent, _KNOWN)
    for name, wanted in _KINDS.items():
        value = getattr(agent, name)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise _wrong(agent, name, f"is of type {type(value).__name__}, not {wanted.__name__}")
        if isinstance(value, Contract) and exactly(type(value), value) is None:
            raise _wrong(agent, name, f"is not valid: {value!r}")
        if value == 0 or (isinstance(value, timedelta) and value < LEAST_DURATION):
            raise _wrong(agent, name, "must be more than nothing")
    _check_lists(agent)
    if agent.earlier_effects not in get_args(EarlierEffects):
        raise _wrong(agent, "earlier_effects", f"is one of {', '.join(get_args(EarlierEffects))}")
    if agent.compaction is not None and not callable(getattr(agent.compaction, "plan", None)):
        raise _wrong(agent, "compaction", "is a strategy with plan(), or None")


def _check_lists(agent: Any) -> None:
    for name in _LISTS:
        value = getattr(agent, name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _wrong(agent, name, f'is a tuple: write {name} = ("...",), with the comma')
    for pointer in agent.untrusted_input:
        if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
            raise _wrong(agent, "untrusted_input", f"has {pointer!r}, which is no JSON Pointer such as /body")


def check_untrusted_input(agent: Any, input_type: Any, schema: dict[str, Json] | None) -> None:
    """Refuse a pointer to what no task has: the part that it was meant for would be taken at its word.

    Args:
        agent: The class.
        input_type: Of its tasks.
        schema: JSON Schema of that type, if it says more than the type.

    Raises:
        WorkflowDefinitionError: a pointer names nothing.
    """
    for pointer in agent.untrusted_input:
        has_parts = input_type not in (str, int, float, bool)
        if pointer and not (has_parts and has_place(True if schema is None else schema, pointer)):
            raise _wrong(
                agent, "untrusted_input", f"has {pointer!r}, and {_name(input_type)} has nothing there"
            )


def declared(agent: Any) -> dict[str, object]:
    """The attributes that mean something, as a class has them now."""
    return {name: getattr(agent, name) for name in _KNOWN}


def check_unchanged(agent: Any) -> None:
    """Refuse attributes that were set after the class was made: its runs may not see them.

    Raises:
        WorkflowDefinitionError: one was.
    """
    check_spelling(agent, _KNOWN)
    made_with: dict[str, object] = agent.__dict__.get("_declared", {})
    for name, value in made_with.items():
        if getattr(agent, name) is not value:
            raise _wrong(
                agent, name, "was set after the class was made, where runs don't see it: set it there"
            )


def check_names_in_rules(agent: Any, rules: RuleSet) -> None:
    """Refuse a rule that names a tool, a scope or an argument that isn't there, and a grant that is a slip.

    A set that says which tools it is for was held against these when it was made.

    Raises:
        WorkflowDefinitionError: a rule would never match.
    """
    if workflow.unsafe.in_sandbox():
        return  # the class was looked at when its worker started
    needed = sorted({scope for tool in agent.tools for scope in tool.contract.scopes})
    for scope in agent.release.scopes:
        if scope not in needed and (meant := get_close_matches(scope, needed, 1, 0.8)):
            raise _wrong(agent, "release", f"grants {scope!r}, which no tool needs; {meant[0]!r} is needed")
    if rules.tools is not None:
        return
    try:
        check_rule_names(rules.rules, [tool.contract for tool in agent.tools], agent.__name__)
    except ConfigurationError as error:
        raise WorkflowDefinitionError(str(error)) from None


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _wrong(agent: Any, name: str, problem: str) -> WorkflowDefinitionError:
    return WorkflowDefinitionError(f"{agent.__name__}.{name} {problem}")
