"""What one decision costs: 50 Python rules with provenance, beside 50 Cedar policies.

``python -m benchmarks.decisions``. The run has 40 recorded outputs of 2 kB and a directory of 1,000 entries
that is trusted; calls are of all kinds: allowed, asked of, denied, and with sinks that nothing trusted has.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from agentflow import RuleContext, allow, ask, deny, sinks_from_trusted_input, tool
from agentflow.adapters.cedar import CedarPolicies, cedar_policies
from agentflow.contracts.budget import Spend
from agentflow.core.policy import decide
from agentflow.core.provenance import PastCall, Provenance
from agentflow.core.rules import EVERY_TIER, Policies, Rule
from benchmarks.command_line import add_json, print_report

TASK = "Pay 40.00 to customer-17@example.com for the order ORD-1001. " + "Background of the case. " * 100
OUTPUT_BYTES = 2_000


@tool(effect="write", sinks=("to", "amount"))
async def pay(to: str, amount: Annotated[str, Field(max_length=20)], note: str = "") -> str:
    """Pay an amount."""
    return ""


@tool(effect="read", trusted_output=True)
async def directory() -> list[dict[str, str]]:
    """Everybody."""
    return []


def _is_over(limit: int) -> Callable[[RuleContext], bool]:
    def condition(context: RuleContext) -> bool:
        return context.amount("amount") > limit

    return condition


def python_rules(count: int) -> tuple[Rule, ...]:
    """So many rules, of all kinds, each with a condition that looks at the arguments."""
    many = [
        deny(f"limit_{number}", reason="too much", tools=("pay",), when=_is_over(10_000 + number))
        for number in range(count - 3)
    ]
    return (
        *many,
        allow("small", reason="small", tools=("pay",), tiers=EVERY_TIER),
        ask("large", reason="large", tools=("pay",), when=_is_over(100), tiers=EVERY_TIER),
        sinks_from_trusted_input(),
    )


def cedar_rules(count: int) -> CedarPolicies:
    """As many Cedar policies that say the same."""
    amount = "context.amounts has amount && context.amounts.amount"
    many = [
        f'@id("limit_{number}") forbid (principal, action == Action::"pay", resource) when '
        f'{{ {amount}.greaterThan(decimal("{10_000 + number}.0")) }};'
        for number in range(count - 3)
    ]
    permits = [
        '@id("small") permit (principal, action == Action::"pay", resource) when '
        '{ [Tier::"production"].contains(context.tier) };',
        f'@id("large") @ask("large") permit (principal, action == Action::"pay", resource) when '
        f'{{ [Tier::"production"].contains(context.tier) && {amount}.greaterThan(decimal("100.0")) }};',
        '@id("sinks") @ask("sinks") permit (principal, action == Action::"pay", resource) when '
        '{ [Tier::"production"].contains(context.tier) && !context.untrusted_sinks.isEmpty() };',
    ]
    return cedar_policies("\n".join([*many, *permits]), (pay, directory))


def contexts(entries: int, outputs: int) -> list[RuleContext]:
    """Calls of all kinds in one run."""
    known = Provenance().plus("task", TASK)
    listed = [{"name": f"Customer {n}", "mail": f"customer-{n}@example.com"} for n in range(entries)]
    past = [PastCall("c0", "directory", {}, listed)]
    known = known.after(directory.contract, past[0])
    text = "What a mail says. "
    past += [
        PastCall(f"c{n}", "mail", {"page": n}, {"text": text * (OUTPUT_BYTES // len(text))})
        for n in range(outputs)
    ]
    bare = RuleContext(
        agent="Payer",
        tool=pay.contract,
        arguments={},
        tier="production",
        tenant="acme",
        customer_tier="standard",
        requested_by="ada",
        task_input=TASK,
        model="m",
        model_proven=True,
        spend=Spend(),
        past_calls=tuple(past),
        provenance=known,
    )
    called: list[dict[str, Any]] = [
        {"to": "customer-17@example.com", "amount": "40.00"},
        {"to": "customer-900@example.com", "amount": "250.00", "note": "x" * 500},
        {"to": "mallory@example.com", "amount": "40.00"},
        {"to": "customer-17@example.com", "amount": "99999.00"},
    ]
    return [replace(bare, arguments=arguments) for arguments in called]


def measure(
    rules: Sequence[Rule], policies: Sequence[Policies], given: argparse.Namespace
) -> dict[str, float]:
    """Time of a decision: medians over the rounds of each round's median and 99th percentile."""
    made = contexts(given.entries, given.outputs)
    p50s: list[float] = []
    p99s: list[float] = []
    for _ in range(given.rounds):
        took: list[float] = []
        for number in range(given.decisions):
            context = made[number % len(made)]
            began = time.perf_counter()
            decide(rules, context, policies)
            took.append(time.perf_counter() - began)
        took.sort()
        p50s.append(took[len(took) // 2])
        p99s.append(took[len(took) * 99 // 100])
    return {
        "p50_us": round(statistics.median(p50s) * 1e6, 1),
        "p99_us": round(statistics.median(p99s) * 1e6, 1),
    }


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--decisions", type=int, default=2_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=1_000, help="of the trusted directory")
    parser.add_argument("--outputs", type=int, default=40, help="recorded ones")
    add_json(parser)
    given = parser.parse_args()
    python, cedar = python_rules(given.rules), [cedar_rules(given.rules)]
    for context in contexts(given.entries, given.outputs):
        one, other = decide(python, context).verdict, decide((), context, cedar).verdict
        assert one == other, (context.arguments, one, other)
    found = {"python": measure(python, (), given), "cedar": measure((), cedar, given)}
    report = {
        "rules": given.rules,
        **found,
        "cores": os.cpu_count(),
        "python_version": platform.python_version(),
    }
    print_report(report, as_json=given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
