"""The agents and rule sets that ``agentflow policy`` looks at."""

from collections.abc import Iterable
from typing import Any, cast

from agentflow.core.rules import Rule, RuleSet
from agentflow.errors import ConfigurationError
from agentflow.workflow.agent import AgentWorkflow
from agentflow.workflow.definition import AgentDefinition

PolicyAgent = AgentDefinition[Any]
"""An agent, as its class was compiled: rules, tools, and what is trusted."""


def agent_of(found: object, path: str) -> PolicyAgent:
    """The agent that a class is.

    Args:
        found: What a path names.
        path: For the message.

    Raises:
        ConfigurationError: it is no agent that can be run.
    """
    if not (isinstance(found, type) and issubclass(found, AgentWorkflow)):
        raise ConfigurationError(f"{path} is no AgentWorkflow subclass")
    definition: PolicyAgent | None = getattr(cast(Any, found), "_definition", None)
    if definition is None:
        raise ConfigurationError(f"{path} is abstract: name a class that can be run")
    return definition


def rules_of(found: object, path: str) -> RuleSet:
    """The rules of an agent, a rule set as it is, or a list of rules.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(found, type):
        return agent_of(cast(object, found), path).rules
    if isinstance(found, RuleSet):
        return found
    if isinstance(found, list | tuple):
        rules = tuple(cast(Iterable[object], found))
        if all(isinstance(rule, Rule) for rule in rules):
            return RuleSet(path, "", cast(tuple[Rule, ...], rules))
    raise ConfigurationError(f"{path} is no agent, no rule set and no list of rules")
