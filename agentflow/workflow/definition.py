"""What an ``AgentWorkflow`` subclass declares, checked and compiled once when the class is made."""

import typing
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from agentflow.contracts.budget import Budget
from agentflow.contracts.effects import EarlierEffects
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.manifest import Release
from agentflow.contracts.model import ModelOptions, ToolOffer
from agentflow.contracts.person import fault_of
from agentflow.contracts.pinned import PinnedAgent
from agentflow.contracts.rules import RuleSetName
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json, Sha256, exactly
from agentflow.core.answer import AnswerForm, answer_form
from agentflow.core.catalog import Catalog
from agentflow.core.compaction import CompactionStrategy
from agentflow.core.derived import check_derived
from agentflow.core.person import look_alikes
from agentflow.core.pinned_rules import RulesAsPinned, pin_rules, rules_at_hand
from agentflow.core.rule_reads import names_of_arguments
from agentflow.core.rules import Rule, RuleSet
from agentflow.core.tags import AgentTags, TagFinder
from agentflow.errors import WorkflowDefinitionError
from agentflow.workflow.agent_checks import check_attributes, check_names_in_rules, check_untrusted_input
from agentflow.workflow.sources import code_source

OutputT = TypeVar("OutputT")

DEFAULT_MODULE = "agentflow.workflow.agent"
"""Module of the ``perform``, ``preflight`` and ``postflight`` that agents inherit."""

_OUR_METHODS = ("trusted", "signed")

_THREE_LINES = """{name} has no @workflow.run method. Temporal doesn't inherit it, so write it in each class:

    @workflow.run
    async def run(self, task: AgentTask[{input}]) -> AgentOutcome[{output}]:
        return await self.run_agent(task)

(A class that is only subclassed says so: class {name}(AgentWorkflow[...], abstract=True).)"""


@dataclass(frozen=True)
class AgentDefinition(Generic[OutputT]):
    """A compiled agent: shared by all its runs on a worker, and so immutable."""

    name: str
    instructions: str
    untrusted_input: tuple[str, ...]
    models: tuple[str, ...]
    model_options: ModelOptions
    tools: tuple[ToolContract, ...]
    """Contracts of all its tools, in the class's order."""
    catalog: Catalog
    """Of those whose scopes are granted."""
    offers: tuple[ToolOffer, ...]
    """The tools as models are told of them."""
    tools_hash: Sha256
    rules: RuleSet
    """Those of the class."""
    asked: RulesAsPinned
    """Those that decide."""
    rules_name: RuleSetName
    """Of those that decide."""
    budget: Budget
    release: Release
    output_form: AnswerForm[OutputT]
    tags: AgentTags
    """What its types mark as personal or secret."""
    performs_by_default: bool
    """Whether ``perform`` is the library's: then the run can continue as new by itself."""
    checks_task: bool
    """Whether it has a ``preflight`` of its own."""
    checks_output: bool
    """Whether it has a ``postflight`` of its own."""
    approval_timeout: timedelta
    escalation_timeout: timedelta
    loop_limits: LoopLimits
    compaction: CompactionStrategy | None
    max_history_bytes: int
    max_input_bytes: int
    max_carried_bytes: int
    earlier_effects: EarlierEffects
    """What becomes of a write that an earlier run of the workflow id made."""
    verifier_method: str | None
    """How its own verifier names what it does; ``None`` of an agent without one."""

    @cached_property
    def known_arguments(self) -> frozenset[str] | None:
        """Names of arguments that rules may ask for; ``None`` where a tool doesn't list its own."""
        return names_of_arguments((*self.tools, *self.rules.contracts))

    @cached_property
    def pinned(self) -> dict[str, Json]:
        """The agent by value, as the manifest has it (``contracts.pinned.PinnedAgent``)."""
        same: dict[str, Any] = {name: getattr(self, name) for name in PINNED_AS_THEY_ARE}
        return PinnedAgent(
            rules=pin_rules(self.rules, code_source),
            output_schema=self.output_form.schema,
            task_tags=self.tags.task.marking,
            compacts=self.compaction is not None,
            **same,
        ).as_sent()


PINNED_AS_THEY_ARE = tuple(
    field.name
    for field in fields(AgentDefinition)
    if field.name in PinnedAgent.model_fields and field.name != "rules"
)
"""Fields that a definition takes from a pinned agent, and gives to it, as they are."""


def compile_definition(agent: Any) -> AgentDefinition[Any]:
    """Check and compile the class attributes of an ``AgentWorkflow`` subclass.

    Raises:
        WorkflowDefinitionError: something is missing or contradictory; the text says what to write.
        ConfigurationError: a tool's contract is broken.
    """
    input_type, output_type = _type_arguments(agent)
    if "run" not in vars(agent):
        shown = {"name": agent.__name__, "input": _type_name(input_type), "output": _type_name(output_type)}
        raise WorkflowDefinitionError(_THREE_LINES.format(**shown))
    check_attributes(agent)
    if not agent.models:
        raise WorkflowDefinitionError(f'{agent.__name__} names no model: write models = ("default",)')
    rules = _rule_set(agent)
    names = [rule.name for rule in rules.rules]
    if twice := {name for name in names if names.count(name) > 1}:
        raise WorkflowDefinitionError(f"{agent.__name__} has two rules named {', '.join(sorted(twice))}")
    if fault := fault_of(agent.__name__):
        raise WorkflowDefinitionError(f"{agent.__name__!a} can't be an agent's name: it {fault}")
    _check_names(agent.__name__, rules)
    output_form = answer_form(output_type)
    task_schema = _input_schema(input_type)
    check_untrusted_input(agent, input_type, task_schema)
    tools = tuple(tool.contract for tool in agent.tools)
    catalog = Catalog.of(tools, agent.release.scopes)
    check_derived(tools)
    check_names_in_rules(agent, rules)
    return AgentDefinition(
        name=agent.__name__,
        instructions=agent.instructions.strip(),
        untrusted_input=tuple(agent.untrusted_input),
        models=tuple(agent.models),
        model_options=agent.model_options,
        tools=tools,
        catalog=catalog,
        offers=catalog.offers(),
        tools_hash=catalog.hash(),
        rules=rules,
        asked=rules_at_hand(rules),
        rules_name=rules.named(code_source),
        budget=exactly(Budget, agent.budget) or agent.budget,
        release=agent.release,
        output_form=output_form,
        tags=tags_of(catalog, TagFinder(task_schema), output_form.schema),
        performs_by_default=agent.perform.__module__ == DEFAULT_MODULE,
        checks_task=agent.preflight.__module__ != DEFAULT_MODULE,
        checks_output=agent.postflight.__module__ != DEFAULT_MODULE,
        approval_timeout=agent.approval_timeout,
        escalation_timeout=agent.escalation_timeout,
        loop_limits=agent.loop_limits,
        compaction=agent.compaction,
        max_history_bytes=agent.max_history_bytes,
        max_input_bytes=agent.max_input_bytes,
        max_carried_bytes=agent.max_carried_bytes,
        earlier_effects=agent.earlier_effects,
        verifier_method=_verifier_method(agent),
    )


def tags_of(catalog: Catalog, task: TagFinder, output_schema: dict[str, Json] | None) -> AgentTags:
    """What an agent's types mark as personal or secret."""
    return AgentTags(
        task=task,
        arguments={name: TagFinder(tool.input_schema) for name, tool in catalog.contracts.items()},
        outputs={name: TagFinder(tool.output_schema) for name, tool in catalog.contracts.items()},
        answer=TagFinder(output_schema),
    )


def _check_names(agent: str, rules: RuleSet) -> None:
    quorums = [rule.quorum for rule in rules.rules if rule.quorum]
    roles = [role for quorum in quorums for role in (*quorum.roles, *quorum.next_roles)]
    tenants = [tenant for rule in rules.rules for tenant in rule.tenants]
    if alike := look_alikes(roles) or look_alikes(tenants):
        raise WorkflowDefinitionError(
            f"{agent} has rules for names that look alike and differ: {' and '.join(alike)}"
        )


def _verifier_method(agent: Any) -> str | None:
    """The ``method`` of an agent's own verifier, if it has one that can be asked."""
    verifier: object = agent.approver_verifier
    if verifier is None:
        return None
    where = f"{agent.__name__}.approver_verifier"
    if isinstance(verifier, type):
        raise WorkflowDefinitionError(f"{where} is a class: write an instance of it")
    if missing := [
        name for name in ("verify", "verify_resolution") if not callable(getattr(verifier, name, None))
    ]:
        raise WorkflowDefinitionError(f"{where} has no method {' and no method '.join(missing)}")
    method: object = getattr(verifier, "method", None)
    if type(method) is not str or not 0 < len(method.strip()) <= 80:
        raise WorkflowDefinitionError(f"{where} must have method: a name of 1 to 80 characters")
    if method in _OUR_METHODS:
        # People, tools and each write's own check would take it for ours.
        raise WorkflowDefinitionError(f"{where} names its method {method!r}, which is the library's own")
    return method


def _input_schema(input_type: Any) -> dict[str, Json] | None:
    """JSON Schema of a task's input as a run has it: by the fields' names."""
    if input_type is Any or input_type in (str, int, float, bool, dict, list):
        return None
    try:
        return TypeAdapter(input_type).json_schema(by_alias=False, mode="serialization")
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise WorkflowDefinitionError(
            f"input type {input_type!r} has no JSON Schema that would say what in it is personal: {error}"
        ) from error


def _rule_set(agent: Any) -> RuleSet:
    """An agent's rules; a plain list has the agent's name and version."""
    given: RuleSet | Sequence[Rule] = agent.rules
    if not isinstance(given, RuleSet):
        if isinstance(cast(object, given), Rule | str) or not isinstance(cast(object, given), Sequence):
            raise WorkflowDefinitionError(f"{agent.__name__}.rules is a tuple of rules, or a RuleSet")
        given = RuleSet(agent.__name__, agent.release.version, tuple(given))
    return given


def _type_arguments(agent: Any) -> tuple[Any, Any]:
    """The types in ``class X(AgentWorkflow[InputT, OutputT])``, from the nearest class that has them."""
    for kind in agent.__mro__:
        for parent in getattr(kind, "__orig_bases__", ()):
            arguments = typing.get_args(parent)
            if len(arguments) == 2 and not any(isinstance(a, TypeVar) for a in arguments):
                return arguments
    raise WorkflowDefinitionError(
        f"{agent.__name__} doesn't say its types: write "
        f"class {agent.__name__}(AgentWorkflow[InputType, OutputType])"
    )


def _type_name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


_MARK = "__temporal_workflow_definition"
"""Where ``@workflow.defn`` leaves its mark. Inherited ones belong to another class."""


def workflow_type_of(found: object) -> str | None:
    """The workflow type of a class with ``@workflow.defn``; ``None`` of anything else."""
    definition = vars(found).get(_MARK) if isinstance(found, type) else None
    return definition.name if definition else None


def definition_of(workflow: type) -> AgentDefinition[Any] | None:
    """What an agent's class was compiled to; ``None`` of any other workflow."""
    return getattr(workflow, "_definition", None)
