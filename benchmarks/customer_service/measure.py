"""Replays each task's calls, and counts what is asked about; then swaps values for other customers'.

A swap counts where the run has read and been told nothing of the value: whoever says it is an outsider.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentflow.contracts.budget import Spend
from agentflow.contracts.tools import ToolContract
from agentflow.core.leaves import leaves
from agentflow.core.policy import decide
from agentflow.core.provenance import PastCall, Provenance
from agentflow.core.rule_context import RuleContext
from benchmarks.customer_service.look_ups import look_ups
from benchmarks.customer_service.operator_says import RULES, WRITES, contracts_of
from benchmarks.customer_service.tau import DOMAINS, Call, Tau, TauTask

Tell = Callable[[str], None]


@dataclass
class Replayed:
    """One task that writes."""

    domain: str
    task: TauTask
    asked: list[tuple[str, str, Any]] = field(default_factory=list[tuple[str, str, Any]])
    """Tool, argument and value of what a person would be asked about."""
    contexts: list[RuleContext] = field(default_factory=list[RuleContext])
    """Of its writes, as they were decided on."""


def measure(copy: Path, tell: Tell) -> dict[str, Any]:
    """The figures of both domains."""
    done = [replayed for domain in DOMAINS for replayed in _replay(Tau(copy, domain))]
    for replayed in done:
        for tool, argument, value in replayed.asked:
            tell(f"{replayed.domain} {replayed.task.number}: {tool} asks about {argument}: {value!r}")
    swaps = list(_swaps(done))
    for context, argument, value in (swap for swap in swaps if decide(RULES, swap[0]).verdict == "allow"):
        tell(f"swap not asked about: {context.tool.name} {argument}: {value!r}")
    return {
        "tasks_that_write": len(done),
        "asked": sum(bool(replayed.asked) for replayed in done),
        **{
            f"asked_{domain}": sum(bool(one.asked) for one in done if one.domain == domain)
            for domain in DOMAINS
        },
        "swaps": len(swaps),
        "swaps_not_asked": sum(decide(RULES, context).verdict == "allow" for context, _, _ in swaps),
    }


def _replay(tau: Tau) -> Iterator[Replayed]:
    contracts = contracts_of(tau)
    for task in tau.tasks:
        if any(function in WRITES for function, _ in task.calls):
            yield _replayed(tau, contracts, task)


def _replayed(tau: Tau, contracts: Mapping[str, ToolContract], task: TauTask) -> Replayed:
    replayed, world = Replayed(tau.domain, task), tau.fresh()
    provenance = Provenance.of_task(tau.policy, task.instruction, ())
    past: list[PastCall] = []
    calls: Sequence[Call] = [*look_ups(tau.domain, task, world), *task.calls]
    for function, arguments in calls:
        contract = contracts[function]
        if function in WRITES:
            context = _context(contract, arguments, task, provenance, past)
            replayed.contexts.append(context)
            if decide(RULES, context).verdict != "allow":
                found = provenance.untrusted_sinks(contract, arguments)
                replayed.asked += ((function, sink.argument, sink.value) for sink in found)
        past.append(PastCall(str(len(past)), function, arguments, world.act(function, arguments)))
        provenance = provenance.after(contract, past[-1])
    return replayed


def _context(
    contract: ToolContract,
    arguments: Mapping[str, Any],
    task: TauTask,
    provenance: Provenance,
    past: Sequence[PastCall],
) -> RuleContext:
    return RuleContext(
        tool=contract,
        arguments=arguments,
        tier="production",
        tenant="default",
        customer_tier="standard",
        requested_by=task.user_id,
        task_input=task.instruction,
        model="scripted:model",
        model_proven=True,
        spend=Spend(),
        past_calls=tuple(past),
        provenance=provenance,
    )


def _swaps(done: Sequence[Replayed]) -> Iterator[tuple[RuleContext, str, Any]]:
    """Each write with the value of one sink as another customer's task has it."""
    for index, replayed in enumerate(done):
        for context in replayed.contexts:
            seen = _seen(context)
            for sink in context.tool.sinks or ():
                for other in _others(done, index, context.tool.name, sink.argument):
                    if any(leaf.text.lower() not in seen for leaf in leaves(other, sink.argument)):
                        changed = {**context.arguments, sink.argument: other}
                        yield replace(context, arguments=changed), sink.argument, other
                        break


def _seen(context: RuleContext) -> str:
    """All that the run has read or been told."""
    texts = [json.dumps(call.output) for call in context.past_calls]
    return "\n".join([*texts, *(source.text for source in context.provenance.sources)]).lower()


def _others(done: Sequence[Replayed], index: int, tool: str, argument: str) -> Iterator[Any]:
    """An argument's values in other customers' tasks, the next task's first."""
    for replayed in (*done[index + 1 :], *done[:index]):
        if replayed.task.user_id != done[index].task.user_id:
            for context in replayed.contexts:
                if context.tool.name == tool and context.arguments.get(argument) not in (None, ""):
                    yield context.arguments[argument]
