"""The agents and rule sets that ``agentflow policy`` looks at."""

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agentflow.cli.project import load_object
from agentflow.contracts.tools import ToolContract
from agentflow.core.catalog import Catalog
from agentflow.core.rules import Rule, RuleSet
from agentflow.errors import ConfigurationError
from agentflow.workflow.agent import AgentWorkflow
from agentflow.workflow.definition import AgentDefinition


@dataclass(frozen=True)
class PolicyAgent:
    """What of an agent its rules depend on."""

    name: str
    instructions: str
    untrusted_input: tuple[str, ...]
    catalog: Catalog
    rules: RuleSet
    rules_id: str

    @property
    def contracts(self) -> Mapping[str, ToolContract]:
        """Its tools, by name."""
        return self.catalog.contracts


def load_policy_agent(path: str) -> PolicyAgent:
    """An agent, by ``module:Class`` or ``file.py:Class``.

    Raises:
        ConfigurationError: it can't be imported, or is no agent.
    """
    found = _load(path)
    if not (isinstance(found, type) and issubclass(found, AgentWorkflow)):
        raise ConfigurationError(f"{path} is no AgentWorkflow subclass")
    kind = cast(Any, found)
    definition: AgentDefinition[Any] | None = getattr(kind, "_definition", None)
    if definition is None:
        raise ConfigurationError(f"{path} is abstract: name a class that can be run")
    return PolicyAgent(
        definition.name,
        definition.instructions,
        tuple(kind.untrusted_input),
        definition.catalog,
        definition.rules,
        definition.rules_name.id,
    )


def workflow_type(path: str) -> str | None:
    """The workflow type of an agent; ``None`` for rules alone."""
    found = _load(path)
    defined = getattr(found, "__temporal_workflow_definition", None)
    return defined.name if defined else None


def load_rules(path: str) -> RuleSet:
    """The rules of an agent, or a rule set or list of rules, by ``module:NAME`` or ``file.py:NAME``.

    Raises:
        ConfigurationError: it can't be imported, or is none of these.
    """
    found = _load(path)
    if isinstance(found, type):
        return load_policy_agent(path).rules
    if isinstance(found, RuleSet):
        return found
    if isinstance(found, list | tuple):
        rules = tuple(cast(Iterable[object], found))
        if all(isinstance(rule, Rule) for rule in rules):
            return RuleSet(path, "", cast(tuple[Rule, ...], rules))
    raise ConfigurationError(f"{path} is no agent, no rule set and no list of rules")


def _load(path: str) -> Any:
    place, _, attribute = path.rpartition(":")
    if not place.endswith(".py"):
        return load_object(path)
    # Its name says where it is from, so that two versions of one file can be loaded side by side.
    name = f"agentflow_policy_{Path(place).resolve().as_posix()}"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None or not Path(place).is_file():
        raise ConfigurationError(f"there is no file {place}")
    module = importlib.util.module_from_spec(spec)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigurationError(f"{place} can't be imported: {type(error).__name__}: {error}") from error
    found: Any = getattr(module, attribute, None)
    if found is None:
        raise ConfigurationError(f"{place} has no {attribute}")
    return found
