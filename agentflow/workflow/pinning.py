"""The agent that a run goes on as: what its manifest pinned, whatever the class of its worker has become."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agentflow.contracts.manifest import Manifest
from agentflow.contracts.pinned import PinnedAgent
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import canonical_json
from agentflow.core.answer import describe_errors, form_as_pinned
from agentflow.core.catalog import Catalog, what_it_takes
from agentflow.core.compaction import ClearToolOutputs
from agentflow.core.pinned_rules import rules_as_pinned
from agentflow.core.tags import TagFinder
from agentflow.errors import RunDenied
from agentflow.workflow.definition import PINNED_AS_THEY_ARE, AgentDefinition, tags_of
from agentflow.workflow.sources import code_source

_CONTRACTS = TypeAdapter(tuple[ToolContract, ...])


def as_pinned(present: AgentDefinition[Any], manifest: Manifest) -> AgentDefinition[Any]:
    """The definition that a run was pinned to.

    Code is the worker's: ``perform``, ``preflight`` and ``postflight``, and conditions of rules as far as
    they are the same.

    Args:
        present: Of the worker's class.
        manifest: Of the run.

    Raises:
        RunDenied: a later version of the library pinned the run.
    """
    if _is_as_pinned(present, manifest):
        return present
    try:
        pinned = PinnedAgent.read(manifest.pinned)
    except ValidationError as error:
        problem = describe_errors(error)
        raise RunDenied(f"this worker can't read what the run is pinned to: {problem}") from None
    catalog = _catalog(canonical_json(manifest.pinned.get("tools", [])), manifest.release.scopes)
    # What shortens a conversation is code, and what it came to is in history: the class's has its place.
    compaction = (present.compaction or ClearToolOutputs()) if pinned.compacts else None
    same: dict[str, Any] = {name: getattr(pinned, name) for name in PINNED_AS_THEY_ARE}
    return replace(
        present,
        name=manifest.agent,
        release=manifest.release,
        catalog=catalog,
        offers=catalog.offers(),
        asked=rules_as_pinned(
            pinned.rules, present.rules, {tool.name: tool for tool in pinned.tools}, code_source
        ),
        rules_name=manifest.rules or present.rules_name,
        output_form=form_as_pinned(pinned.output_schema, present.output_form),
        tags=tags_of(catalog, _task_tags(pinned, present), pinned.output_schema),
        compaction=compaction,
        **same,
    )


def lacking(pinned: AgentDefinition[Any], present: AgentDefinition[Any]) -> tuple[str, ...]:
    """What a run is pinned to and a worker's class doesn't have, a sentence each.

    Args:
        pinned: What the run goes on as.
        present: Of the worker's class.
    """
    rules = sorted(pinned.asked.gone)
    found = [
        f"the code of rule {name} is gone: a decision that asks it ends the run as denied" for name in rules
    ]
    if pinned.asked.engines_gone:
        found.append("its policies are others now: its next decision ends the run as denied")
    method = pinned.verifier_method
    if method not in (None, present.verifier_method):
        found.append(f"the class no longer has the verifier {method}: what people decide counts for nothing")
    tools = {contract.name: contract for contract in present.tools}
    for contract in pinned.tools:
        name = contract.name
        if name not in tools:
            found.append(f"the class no longer has the tool {name}: if no worker has it, a person is asked")
        elif what_it_takes(contract) != what_it_takes(tools[name]):
            found.append(f"the tool {name} takes or does something else: a call of it is left to a person")
    return tuple(found)


def _is_as_pinned(present: AgentDefinition[Any], manifest: Manifest) -> bool:
    """Whether a worker's class is in nothing another one than the run was pinned to."""
    beside = (manifest.agent, manifest.release, manifest.rules or present.rules_name)
    return manifest.pinned == present.pinned and beside == (
        present.name,
        present.release,
        present.rules_name,
    )


def _task_tags(pinned: PinnedAgent, present: AgentDefinition[Any]) -> TagFinder:
    """What the input type marked as the run began."""
    return present.tags.task if pinned.task_tags is None else TagFinder(pinned.task_tags)


@lru_cache(maxsize=256)
def _catalog(tools: bytes, scopes: tuple[str, ...]) -> Catalog:
    """The catalog of contracts, given as JSON: runs of one release have the same."""
    return Catalog.of(_CONTRACTS.validate_json(tools), scopes)
