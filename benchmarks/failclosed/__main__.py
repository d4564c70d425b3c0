"""``python -m benchmarks.failclosed``."""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random

import benchmarks.failclosed
from agentflow.contracts.approval import ApprovalOutcome
from agentflow.contracts.rules import Decision
from agentflow.core.approval import PendingApproval
from agentflow.core.policy import decide
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Policies, Rule
from benchmarks.command_line import add_json, machine, positive_int, print_report, silence_agentflow
from benchmarks.failclosed.faults import FAULTS, WEIGHTS
from benchmarks.failclosed.path import Parts, walk
from benchmarks.failclosed.verdict import violation

SHARE = 500
"""Faults of one piece of work."""


def _failures_skipped(rules: Sequence[Rule], context: RuleContext, policies: Sequence[Policies]) -> Decision:
    """A policy engine that skips what fails, as some do."""
    sound: list[Rule] = []
    for rule in rules:
        try:
            if rule.when(context) in (True, False):
                sound.append(rule)
        except Exception:
            continue
    return decide(sound, context, ())


def _sinks_unseen(rules: Sequence[Rule], context: RuleContext, policies: Sequence[Policies]) -> Decision:
    """A policy engine that takes every value at its word."""
    return decide([rule for rule in rules if not rule.is_guard], context, policies)


async def _no_guard(*arguments: object) -> None:
    return None


def _always(pending: PendingApproval, *arguments: object) -> PendingApproval:
    return replace(pending, outcome=ApprovalOutcome(status="approved", by=("anybody",)))


WITHOUT: Mapping[str, Parts] = {
    "nothing": Parts(),
    "decision": Parts(decide=_failures_skipped),
    "sinks": Parts(decide=_sinks_unseen),
    "consent": Parts(judge=_always),
    "binding": Parts(binds=False),
    "guard": Parts(guard=_no_guard),
}
"""The path with one of its guards taken out: then violations must be found, or the search finds none. The
check of the contract is not among them: what it refuses, the tool's own types refuse again.
"""


@dataclass
class Found:
    """What a number of faults came to."""

    faults: int = 0
    writes: int = 0
    violations: int = 0
    by_fault: Counter[str] = field(default_factory=Counter[str])
    """Violations, by the fault that led to them."""
    examples: list[str] = field(default_factory=list[str])


def main() -> int:
    """Throw the faults, print what came of them, and answer the exit code."""
    given = _parser().parse_args()
    began = time.monotonic()
    full = _search("nothing", given.faults, given.seed)
    fewer = max(given.faults // 20, 600)
    lacking = {name: _search(name, fewer, given.seed) for name in WITHOUT if name != "nothing"}
    report = {
        "faults": full.faults,
        "kinds": len(FAULTS),
        "writes": full.writes,
        "writes_without_allow": full.violations,
        "found_without": {name: found.violations for name, found in lacking.items()},
        "by_fault": dict(full.by_fault),
        "examples": full.examples[:5],
        "seed": given.seed,
        "seconds": round(time.monotonic() - began, 1),
        **machine(),
    }
    print_report(report, as_json=given.json)
    blind = [name for name, found in lacking.items() if not found.violations]
    return 1 if full.violations or blind or not full.writes else 0


def _search(without: str, faults: int, seed: int) -> Found:
    shares = [(without, min(SHARE, faults - start), seed + start) for start in range(0, faults, SHARE)]
    total = Found()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(_share, shares):
            total.faults += found.faults
            total.writes += found.writes
            total.violations += found.violations
            total.by_fault += found.by_fault
            total.examples += found.examples
    return total


def _share(work: tuple[str, int, int]) -> Found:
    without, faults, seed = work
    silence_agentflow()
    return asyncio.run(_throw(WITHOUT[without], faults, Random(seed)))


async def _throw(parts: Parts, faults: int, random: Random) -> Found:
    found = Found()
    for _ in range(faults):
        (fault,) = random.choices(FAULTS, WEIGHTS)
        trial = fault(random)
        ended = await walk(trial, parts)
        found.faults += 1
        found.writes += len(ended.paid)
        if why := violation(trial, ended):
            found.violations += 1
            found.by_fault[fault.__name__] += 1
            found.examples.append(f"{fault.__name__}: {why}: {trial.arguments!r} paid {ended.paid!r}"[:500])
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.failclosed", description=benchmarks.failclosed.__doc__
    )
    parser.add_argument("--faults", type=positive_int, default=10_000)
    parser.add_argument("--seed", type=positive_int, default=1, help="the same faults again")
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
