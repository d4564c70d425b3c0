"""The agents and rule sets that ``agentflow policy`` looks at."""

from collections.abc import Iterable
from typing import Any, cast

from agentflow.contracts.messages import ToolCall
from agentflow.contracts.wire import ToolCallId
from agentflow.core.canonical_calls import canonical_call
from agentflow.core.rules import Rule, RuleSet
from agentflow.errors import ConfigurationError
from agentflow.ports.tooling import HasContract
from agentflow.workflow.agent import AgentWorkflow
from agentflow.workflow.definition import AgentDefinition

PolicyAgent = AgentDefinition[Any]
"""An agent, as its class was compiled: rules, tools, and what is trusted."""


def call_as_decided_on(found: object, tool: str, arguments: Any) -> ToolCall:
    """A call of an agent's tool as a run decides on it: with the arguments as the tool gets them.

    Args:
        found: The agent's class.
        tool: The tool's name.
        arguments: As a model might write them.

    Raises:
        pydantic.ValidationError: the arguments are no object.
    """
    call = ToolCall(id=ToolCallId("call"), tool=tool, arguments=arguments)
    tools = cast(Iterable[HasContract], getattr(found, "tools", ()))
    return next(
        (canonical_call(call, one, one.contract.input_schema) for one in tools if one.contract.name == tool),
        call,
    )


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
