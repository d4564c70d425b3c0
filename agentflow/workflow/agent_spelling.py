"""What an agent's class may call its attributes: a misspelt one would leave a default in its place."""

import dis
import inspect
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

from agentflow.contracts.budget import Budget
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.manifest import Release
from agentflow.contracts.model import ModelOptions
from agentflow.contracts.tools import ToolContract
from agentflow.core.rules import Rule, RuleSet
from agentflow.errors import WorkflowDefinitionError

_ALIKE = 0.8
"""How alike two names are of which one is taken for a slip of the other, as difflib measures it."""
_OURS = "agentflow.workflow."
_HOOKS = ("preflight", "postflight", "perform")
"""Methods that are asked if a class has them, and by nobody under another name."""
_OPTIONS: Mapping[str, type[Any]] = {
    "budget": Budget,
    "model_options": ModelOptions,
    "loop_limits": LoopLimits,
    "release": Release,
}
_AMBIGUOUS = frozenset({"version", "depth"})
"""Fields of options that a class may well have for itself."""
_ELSEWHERE: Mapping[str, str] = {
    "system_prompt": "instructions",
    "system": "instructions",
    "prompt": "instructions",
    "guards": "rules",
    "guardrails": "rules",
    "permissions": "rules",
    "policy": "rules",
    "policies": "rules",
    "limits": "budget",
    "max_cost": "budget",
    "max_cost_usd": "budget",
    "cost_limit": "budget",
    "spend_limit": "budget",
    "max_turns": "budget",
    "max_steps": "budget",
    "max_iterations": "budget",
    "max_tokens": "model_options",
    "approvers": "approver_verifier",
    "verifier": "approver_verifier",
    "untrusted": "untrusted_input",
    "untrusted_fields": "untrusted_input",
}
"""Names under which others look for the same."""


def check_spelling(agent: Any, known: Sequence[str]) -> None:
    """Hold the names of a class's attributes, inherited ones included, against those that mean something.

    Args:
        agent: The class.
        known: The attributes that mean something.

    Raises:
        WorkflowDefinitionError: one is a slip, or is set where it has no effect.
    """
    kinds = cast(tuple[type, ...], agent.__mro__)
    behind = False
    for kind in kinds:
        if kind.__module__.startswith(_OURS):
            behind = True
            continue
        for name in _set_on_runs(kind, known):
            raise WorkflowDefinitionError(
                f"{kind.__name__} sets self.{name}, which no run sees: set {name} in the class's body"
            )
        for name, value in _attributes(kind):
            if name not in known:
                _check_unknown(agent, kind, name, value, known)
            elif behind and value is not _NO_VALUE:
                raise WorkflowDefinitionError(
                    f"{agent.__name__} takes no {name} from {kind.__name__}, which stands behind "
                    f"AgentWorkflow: write class {agent.__name__}({kind.__name__}, AgentWorkflow[...])"
                )
            elif value is _NO_VALUE and _is_default(kinds, name):
                raise WorkflowDefinitionError(
                    f"{kind.__name__}.{name} has a type and no value: write {name} = ..., or leave it out"
                )


_NO_VALUE = object()


def _attributes(kind: type) -> Iterator[tuple[str, object]]:
    """The public attributes that a class sets itself; of those that it only annotates, no value."""
    own = vars(kind)
    if kind.__module__ in ("builtins", "typing"):
        return
    try:
        annotated = inspect.get_annotations(kind)
    except NameError:
        annotated = dict[str, Any]()  # of types that are there for type checkers only
    for name in dict.fromkeys([*own, *annotated]):
        if not name.startswith("_"):
            yield name, own.get(name, _NO_VALUE)


def _set_on_runs(kind: type, known: Sequence[str]) -> Iterator[str]:
    """The attributes that mean something, and that a method sets on the object in place of the class."""
    for method in vars(kind).values():
        if not inspect.isfunction(method) or not method.__code__.co_argcount:
            continue
        code = list(dis.get_instructions(method.__code__))
        itself = method.__code__.co_varnames[0]
        for before, one in pairwise(code):
            loaded: object = before.argval if "LOAD_FAST" in before.opname else None
            # One that loads two variables at once names both.
            names = cast(tuple[object, ...], loaded) if isinstance(loaded, tuple) else (loaded,)
            if one.opname == "STORE_ATTR" and one.argval in known and names[-1] == itself:
                yield f"{one.argval}"


def _is_default(kinds: Sequence[type], name: str) -> bool:
    owner = next((kind for kind in kinds if name in vars(kind)), None)
    return owner is None or owner.__module__.startswith(_OURS)


def _check_unknown(agent: Any, kind: type, name: str, value: object, known: Sequence[str]) -> None:
    if _is_code(value):
        if inspect.isfunction(value) and name not in _HOOKS and (meant := _meant(name, _HOOKS)):
            raise WorkflowDefinitionError(
                f"{kind.__name__}.{name} is never called; {meant} is: rename it, or begin it with _"
            )
        return
    if meant := _meant(name, known) or _ELSEWHERE.get(name):
        raise WorkflowDefinitionError(
            f"{kind.__name__}.{name} means nothing; {meant} does: rename it, or begin it with _"
        )
    for option, fields in _OPTIONS.items():
        if name in fields.model_fields and name not in _AMBIGUOUS:
            raise WorkflowDefinitionError(
                f"{kind.__name__}.{name} means nothing; it belongs to {option}: "
                f"{option} = {fields.__name__}({name}=...)"
            )
    meant = _takes(value)
    if meant and not _is_part(agent, value, known):
        raise WorkflowDefinitionError(
            f"{kind.__name__}.{name} means nothing, and holds what {meant} takes: rename it, or begin it "
            "with _"
        )


def _is_code(value: object) -> bool:
    """Whether an attribute is code of the class's own, and no value."""
    if _is_tool(value):
        return False  # it binds to an object as a method does
    return inspect.isroutine(value) or isinstance(
        value, property | cached_property | classmethod | staticmethod | type
    )


def _meant(name: str, known: Sequence[str]) -> str | None:
    """What a name is a slip of. Capitals and underscores make no difference."""
    bare = {one.replace("_", ""): one for one in known}
    found = get_close_matches(name.replace("_", "").lower(), list(bare), 1, _ALIKE)
    return bare[found[0]] if found else None


def _takes(value: object) -> str | None:
    """The attribute that takes a value of a type that nothing else has a use for."""
    for option, kind in _OPTIONS.items():
        if isinstance(value, kind):
            return option
    if isinstance(value, RuleSet | Rule):
        return "rules"
    if _is_tool(value):
        return "tools"
    if isinstance(value, list | tuple) and value:
        parts = cast(Sequence[object], value)
        if all(isinstance(part, Rule) for part in parts):
            return "rules"
        if all(_is_tool(part) for part in parts):
            return "tools"
    return None


def _is_tool(value: object) -> bool:
    return isinstance(getattr(value, "contract", None), ToolContract)


def _is_part(agent: Any, value: object, known: Sequence[str]) -> bool:
    """Whether a value is, or is a part of, what an attribute that means something has."""
    used: list[object] = []
    for name in known:
        held: object = getattr(agent, name, None)
        used += [held, *(cast(Sequence[object], held) if isinstance(held, list | tuple) else ())]
        used += held.rules if isinstance(held, RuleSet) else ()
    parts = cast(Sequence[object], value) if isinstance(value, list | tuple) else [value]
    return any(value is one for one in used) or all(any(part is one for one in used) for part in parts)
