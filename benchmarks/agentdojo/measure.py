"""All user tasks of the suites, alone and under each attack, and what the figures of both are."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from agentdojo.functions_runtime import FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suite
from pydantic_core import to_jsonable_python

from agentflow.contracts.budget import Spend
from agentflow.core.policy import decide
from agentflow.core.provenance import PastCall, Provenance
from agentflow.core.rule_context import RuleContext
from benchmarks.agentdojo.running import Played, Stage, load, staged
from benchmarks.agentdojo.scripts import user_calls
from benchmarks.agentdojo.suites import OPERATORS, Says
from benchmarks.agentdojo.tools import VERSION, tools_of_suite

Tell = Callable[[str], None]


async def measure(suites: Sequence[str], concurrency: int, tell: Tell, *, attacks: bool) -> dict[str, Any]:
    """The figures of some suites."""
    free = asyncio.Semaphore(concurrency)

    async def play(stage: Stage, user: Any, attack: Any) -> Played:
        async with free:
            return await stage.play(user, attack)

    alone: list[Played] = []
    attacked: list[Played] = []
    for name in suites:
        suite = get_suite(VERSION, name)
        users = list(suite.user_tasks.values())
        pairs = [(user, attack) for attack in suite.injection_tasks.values() for user in users]
        async with staged(name) as stage:
            alone += await asyncio.gather(*(play(stage, user, None) for user in users))
            tell(f"{name}: {len(users)} user tasks")
            if attacks:
                attacked += await asyncio.gather(*(play(stage, user, attack) for user, attack in pairs))
                tell(f"{name}: {len(pairs)} attacks")
    for played in alone:
        if played.approvals or not played.solved:
            tell(f"{played.suite} {played.user_task}: {played.status}, {played.approvals} approvals")
    for played in attacked:
        if played.attack_writes:
            tell(f"{played.suite} {played.user_task} {played.attack}: {', '.join(played.attack_writes)}")
    return {**_figures(alone, attacked), **_sticky(suites), "policy_us_p50": _policy_us(suites)}


def _figures(alone: Sequence[Played], attacked: Sequence[Played]) -> dict[str, Any]:
    done = [played for played in alone if played.status == "completed" and played.solved]
    return {
        "user_tasks": len(alone),
        "completed_without_approval": sum(not played.approvals for played in done),
        "needed_approval": sum(bool(played.approvals) for played in done),
        "failed": len(alone) - len(done),
        "attack_pairs": len(attacked),
        "unauthorised_writes": sum(bool(played.attack_writes) for played in attacked),
        "leaked_reads": sum(bool(played.attack_fetches) for played in attacked),
        "approvals_per_task": round(sum(played.approvals for played in alone) / max(len(alone), 1), 3),
    }


def _sticky(suites: Sequence[str]) -> dict[str, Any]:
    """What a rule would cost that blocks each write after an untrusted read."""
    without, approvals, tasks = 0, 0, 0
    for name in suites:
        for user in get_suite(VERSION, name).user_tasks.values():
            tainted, asked = False, 0
            for function, _ in user_calls(user, user.init_environment(load(name, None))):
                if OPERATORS[name].tools.get(function, Says()).effect == "read":
                    tainted = True
                else:
                    asked += tainted
            tasks, approvals, without = tasks + 1, approvals + asked, without + (not asked)
    return {"sticky_without_approval": without, "sticky_approvals_per_task": round(approvals / tasks, 3)}


def _policy_us(suites: Sequence[str]) -> float:
    """Median time of a decision on a call of the user tasks, provenance included, in microseconds."""
    took: list[float] = []
    for name in suites:
        for user in get_suite(VERSION, name).user_tasks.values():
            took += _decisions(name, user)
    return round(statistics.median(took) * 1e6, 1)


def _decisions(name: str, user: Any) -> list[float]:
    environment = user.init_environment(load(name, None))
    runtime = FunctionsRuntime(get_suite(VERSION, name).tools)
    contracts = {tool.contract.name: tool.contract for tool in tools_of_suite(name)}
    provenance, past, took = Provenance().plus("task", user.PROMPT), [], []
    for function, arguments in user_calls(user, environment):
        contract = contracts[function]
        context = RuleContext(
            tool=contract,
            arguments=arguments,
            tier="production",
            tenant="default",
            customer_tier="standard",
            requested_by="emma",
            task_input=user.PROMPT,
            model="scripted:model",
            model_proven=True,
            spend=Spend(),
            past_calls=tuple(past),
            provenance=provenance,
        )
        began = time.perf_counter()
        decide(OPERATORS[name].rules, context)
        took.append(time.perf_counter() - began)
        output, _ = runtime.run_function(environment, function, arguments)
        past.append(PastCall(str(len(past)), contract.name, arguments, to_jsonable_python(output)))
        provenance = provenance.after(contract, past[-1])
    return took
