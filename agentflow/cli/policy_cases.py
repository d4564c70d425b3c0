"""Calls to hold against rules: written down as cases, in TOML or JSON."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import Field, ValidationError

from agentflow.cli.exits import misused
from agentflow.cli.policy_agents import PolicyAgent, agent_of, call_as_decided_on
from agentflow.cli.project import load_object
from agentflow.contracts.budget import Spend
from agentflow.contracts.rules import Tier, Verdict
from agentflow.contracts.wire import Contract, Json
from agentflow.core.answer import describe_errors
from agentflow.core.provenance import PastCall, Provenance
from agentflow.core.rule_context import RuleContext
from agentflow.core.strict_json import strict_json


class EarlierCall(Contract):
    """A call that the run has carried out before."""

    tool: str
    arguments: dict[str, Json] = Field(default_factory=dict[str, Json])
    output: Json = None


class CaseContext(Contract):
    """What a run is, in which a call is made. What is left out is the file's default, or else as here."""

    tier: Tier = "production"
    tenant: str = "default"
    customer_tier: str = "standard"
    requested_by: str = "somebody"
    requester_verified: bool = False
    task_input: Json = None
    guidance: tuple[str, ...] = ()
    """What people said who took over."""
    model: str = "test:model"
    model_proven: bool = True
    spend: Spend = Spend()
    past_calls: tuple[EarlierCall, ...] = ()
    frozen: tuple[str, ...] = ()


class Case(Contract):
    """One call, and what the rules should say of it."""

    name: str
    tool: str
    arguments: dict[str, Json] = Field(default_factory=dict[str, Json])
    context: CaseContext = CaseContext()
    expect: Verdict | None = None
    """Left out where only a difference is looked for."""
    rule: str | None = None
    """The rule that should decide; any if left out."""


class _File(Contract):
    agent: str
    """``module:Class`` of the agent whose rules and tools it is about."""
    defaults: dict[str, Json] = Field(default_factory=dict[str, Json])
    """Of each case's context."""
    cases: list[dict[str, Json]] = Field(min_length=1)


@dataclass(frozen=True)
class CaseFile:
    """The cases of a file, and the agent they are about."""

    path: Path
    agent: PolicyAgent
    cases: tuple[Case, ...]


def read_cases(path: Path) -> CaseFile:
    """Read a file of cases.

    Raises:
        CommandFailed: it can't be read, or something in it is wrong; the text says where.
        ConfigurationError: its agent can't be imported.
    """
    try:
        text = path.read_text("utf-8")
        document: Any = tomllib.loads(text) if path.suffix == ".toml" else strict_json(text.encode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise misused(f"{path} can't be read as {path.suffix.lstrip('.') or 'JSON'}: {error}") from error
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        raise misused(f"{path}: {describe_errors(error)}") from None
    found = load_object(file.agent)
    agent = agent_of(found, file.agent)
    return CaseFile(path, agent, tuple(_cases(path, file, found, agent)))


def context_of(
    agent: PolicyAgent, tool: str, arguments: dict[str, Json], context: CaseContext
) -> RuleContext:
    """What the rules are given of a call, as a run would give it."""
    past = tuple(
        PastCall(f"call-{number}", call.tool, call.arguments, call.output, _output_schema(agent, call.tool))
        for number, call in enumerate(context.past_calls)
    )
    return RuleContext(
        agent=agent.name,
        tool=agent.catalog.contracts[tool],
        arguments=arguments,
        tier=context.tier,
        tenant=context.tenant,
        customer_tier=context.customer_tier,
        requested_by=context.requested_by,
        requester_verified=context.requester_verified,
        task_input=context.task_input,
        model=context.model,
        model_proven=context.model_proven,
        spend=context.spend,
        past_calls=past,
        provenance=_provenance(agent, context, past),
        frozen=context.frozen,
        known_arguments=agent.known_arguments,
    )


def _output_schema(agent: PolicyAgent, tool: str) -> Json:
    contract = agent.catalog.contracts.get(tool)
    return contract.output_schema if contract else None


def _provenance(agent: PolicyAgent, context: CaseContext, past: Iterable[PastCall]) -> Provenance:
    known = Provenance.of_task(agent.instructions, context.task_input, agent.untrusted_input)
    for call in past:
        if contract := agent.catalog.contracts.get(call.tool):
            known = known.after(contract, call)
    for said in context.guidance:
        known = known.plus("person", said)
    return known


def _cases(path: Path, file: _File, found: object, agent: PolicyAgent) -> Iterable[Case]:
    names: set[str] = set()
    for number, given in enumerate(file.cases, start=1):
        where = f"{path}, case {number}"
        try:
            case = Case.model_validate({**given, "context": _merged(file.defaults, given.get("context"))})
        except ValidationError as error:
            raise misused(f"{where}: {describe_errors(error)}") from None
        if case.name in names:
            raise misused(f"{where}: there is a case {case.name!r} already")
        names.add(case.name)
        yield _checked(where, case, found, agent)


def _merged(defaults: dict[str, Json], own: Json) -> Json:
    if own is None or isinstance(own, dict):
        return {**defaults, **cast(dict[str, Json], own or {})}
    return own


def _checked(where: str, case: Case, found: object, agent: PolicyAgent) -> Case:
    call = call_as_decided_on(found, case.tool, case.arguments)
    if problem := agent.catalog.check(call):
        raise misused(f"{where} ({case.name}): no rule would be asked: {problem.message}")
    known: Sequence[str] = [rule.name for rule in agent.rules.rules]
    special = ("default", "error", "frozen", "unproven_model")
    if case.rule and not agent.rules.policies and not set(case.rule.split(", ")) <= {*known, *special}:
        raise misused(f"{where} ({case.name}): there is no rule {case.rule!r}; there are {', '.join(known)}")
    return case.model_copy(update={"arguments": call.arguments})
