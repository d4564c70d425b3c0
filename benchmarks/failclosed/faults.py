"""The faults: each makes a trial of a random call in which one thing is not as it should be."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.catalog import Catalog
from agentflow.core.idempotency import arguments_hash
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Match
from agentflow.errors import LedgerError
from agentflow.ports.guards import GuardedText
from agentflow.testing import MemoryLedger
from benchmarks.failclosed.path import Trial, Voice
from benchmarks.failclosed.world import DEADLINE, FINANCE, KNOWN, REQUESTED_BY, RULES, Books

OTHERS = ("eve@example.com", "ada@example.com.evil.example", "mallory@example.com")
AMOUNTS = ("1.00", "40.00", "99.99", "100.00", "100.01", "400.00", "1000.00", "1000.01", "50000.00")


def none(random: Random) -> Trial:
    """A call as it should be: what shows that writes get through at all."""
    trial = Trial(arguments={"to": random.choice(KNOWN + OTHERS), "amount": random.choice(AMOUNTS)})
    if random.random() < 0.5:
        trial.voices.append(Voice(by=random.choice(FINANCE)))
    return trial


def rule_raises(random: Random) -> Trial:
    """A rule raises."""
    error = random.choice(
        [
            ValueError("x"),
            KeyError("y"),
            ZeroDivisionError(),
            RecursionError(),
            TypeError(),
            AttributeError("z"),
        ]
    )

    def condition(context: RuleContext) -> bool:
        raise error

    return _with_rule(random, condition)


def rule_answers_junk(random: Random) -> Trial:
    """A rule answers something else than True or False."""
    junk = random.choice([None, 1, 0, "yes", "", [], (), Decimal(1), object(), float("nan")])
    return _with_rule(random, lambda context: junk)  # type: ignore[arg-type, return-value]


def attribute_missing(random: Random) -> Trial:
    """A rule looks at what is not there."""
    looks: Sequence[Callable[[RuleContext], bool]] = (
        lambda c: bool(c.arguments["nonesuch"]),
        lambda c: bool(c.outputs("nonesuch")[0]),
        lambda c: bool(c.task_input["customer"]),
        lambda c: c.amount("nonesuch") > 1,
        lambda c: c.nonesuch > 1,  # type: ignore[attr-defined]
    )
    return _with_rule(random, random.choice(looks))


def other_engine_fails(random: Random) -> Trial:
    """The second rule engine raises."""
    trial = none(random)
    return replace(trial, policies=(_Failing(),), broken=True)


def odd_amount(random: Random) -> Trial:
    """An amount that is none, or is written to be misread."""
    texts = ("NaN", "Infinity", "-1.00", "1e999999", "1e-999999", "0x10", "1_00.00", "1,000", "", " 1.00 ")
    digits = ("\uff11\uff10\uff10.00", "\uff11\uff12", "\u0663.00", "1.00\u200b", "\u202e00.1")
    others: Sequence[Any] = (10**30, float("nan"), float("inf"), -5, None, True, [], {})
    odd: Sequence[Any] = (*texts, *digits, *others)
    trial = none(random)
    trial.arguments["amount"] = random.choice(odd)
    return trial


def odd_tool(random: Random) -> Trial:
    """A tool's name that looks like another's."""
    names = (
        "\uff50\uff41\uff59",
        "p\u0430y",
        "pay\u200b",
        "PAY",
        "pay ",
        " pay",
        "p\u0430y",
        "",
        "pay\0",
        "__class__",
        "pay" * 50,
    )
    return replace(none(random), tool=random.choice(names))


def odd_recipient(random: Random) -> Trial:
    """A recipient that looks like the one that was asked for."""
    trial = none(random)
    tricks: Sequence[Callable[[str], str]] = (
        lambda name: name.replace("a", "\u0430", 1),
        lambda name: name.replace("@", "\uff20"),
        lambda name: name + "\u200b",
        lambda name: name + ".evil.example",
        lambda name: "x" + name,
        lambda name: name.upper(),
        lambda name: name[1:],
        lambda name: f"{name},eve@example.com",
        lambda name: f"{name}\0",
    )
    trial.arguments["to"] = random.choice(tricks)(random.choice(KNOWN))
    return trial


def odd_arguments(random: Random) -> Trial:
    """Arguments that nobody named, or that aren't there."""
    trial = none(random)
    match random.randrange(4):
        case 0:
            trial.arguments["bcc"] = "eve@example.com"
        case 1:
            trial.arguments.pop(random.choice(["to", "amount"]))
        case 2:
            trial.arguments = {}
        case _:
            trial.arguments["to"] = json.loads("[" * 60 + "]" * 60)
    return trial


def edited_on_the_way(random: Random) -> Trial:
    """Somebody changes the call, or its decision, between the workflow and the worker."""
    trial = none(random)
    other: dict[str, Json] = {"to": "eve@example.com", "amount": random.choice(AMOUNTS)}

    def tamper(invocation: ToolInvocation) -> ToolInvocation:
        edited: Mapping[str, Any] = random.choice(
            [
                {"arguments": other},
                {"arguments": {**invocation.arguments, "amount": "999.00"}},
                {"decision": _decision("allow", Sha256("0" * 64))},
                {"decision": _decision("deny", arguments_hash("pay", invocation.arguments))},
                {"decision": _decision("ask", arguments_hash("pay", invocation.arguments))},
                {"decision": _decision("allow", arguments_hash("send", invocation.arguments))},
            ]
        )
        return invocation.model_copy(update=dict(edited))

    return replace(trial, tamper=tamper)


def consent_that_is_none(random: Random) -> Trial:
    """People say yes who may not, to something else, or too late."""
    trial = Trial(arguments={"to": random.choice(KNOWN + OTHERS), "amount": "400.00"})
    good = random.choice(FINANCE)
    trial.voices = random.choice(
        [
            [Voice(by=REQUESTED_BY)],
            [Voice(by=good, roles=())],
            [Voice(by=good, roles=("support",))],
            [Voice(by=good, verified=False)],
            [Voice(by=good, hash_of=arguments_hash("pay", {"to": "ada@example.com", "amount": "4.00"}))],
            [Voice(by=good, at=DEADLINE)],
            [Voice(by=good, at=DEADLINE + timedelta(microseconds=1))],
            [Voice(by=REQUESTED_BY.upper())],
        ]
    )
    return trial


def clock_at_the_edge(random: Random) -> Trial:
    """Consent at the last instant that counts, or at the first that doesn't."""
    trial = Trial(arguments={"to": random.choice(KNOWN), "amount": "400.00"})
    moment = random.choice([timedelta(microseconds=-1), timedelta(0), timedelta(microseconds=1)])
    trial.voices = [Voice(by=random.choice(FINANCE), at=DEADLINE + moment)]
    return trial


def guard_down(random: Random) -> Trial:
    """The guard before the model raises, refuses or answers nonsense."""
    return replace(none(random), guard=_Guard(random.choice(["raise", "refuse", "nonsense"])), broken=True)


def guard_slow(random: Random) -> Trial:
    """The guard before the model takes too long."""
    return replace(none(random), guard=_Guard("slow"), broken=True)


def frozen(random: Random) -> Trial:
    """A freeze holds."""
    return replace(
        none(random), frozen=(random.choice(["fleet", "agent:Payer", "tenant:acme"]),), broken=True
    )


def scope_not_granted(random: Random) -> Trial:
    """The release doesn't grant what the tool needs."""
    return replace(none(random), catalog=Catalog.of([Books.pay.contract], ["money:look"]), broken=True)


def tier_not_named(random: Random) -> Trial:
    """The rules were written for other tiers."""
    rules = tuple(replace(rule, tiers=("dev", "staging")) for rule in RULES if rule.verdict != "deny")
    return replace(none(random), rules=rules, broken=True)


def ledger_down(random: Random) -> Trial:
    """The ledger can't be reached."""
    return replace(none(random), ledger=_BrokenLedger(), broken=True)


FAULTS: Sequence[Callable[[Random], Trial]] = (
    none,
    rule_raises,
    rule_answers_junk,
    attribute_missing,
    other_engine_fails,
    odd_amount,
    odd_tool,
    odd_recipient,
    odd_arguments,
    edited_on_the_way,
    consent_that_is_none,
    clock_at_the_edge,
    guard_down,
    guard_slow,
    frozen,
    scope_not_granted,
    tier_not_named,
    ledger_down,
)

WEIGHTS: Sequence[float] = [0.02 if fault is ledger_down else 1 for fault in FAULTS]
"""A ledger that is down is tried again for a second before the call gives up."""


class _Failing:
    engine = "failing 1"
    content = None

    def judge(self, context: RuleContext) -> Sequence[Match]:
        raise ValueError("no answer")


class _Guard:
    def __init__(self, how: str) -> None:
        self._how = how

    async def check_input(self, texts: Sequence[GuardedText]) -> str | None:
        match self._how:
            case "raise":
                raise ConnectionError("the guard is down")
            case "slow":
                await asyncio.sleep(1)
            case "nonsense":
                return 0  # type: ignore[return-value]
        return "no" if self._how == "refuse" else None


class _BrokenLedger(MemoryLedger):
    async def insert(self, record: EffectRecord) -> bool:
        raise LedgerError("the ledger is down")


def _with_rule(random: Random, condition: Callable[[RuleContext], bool]) -> Trial:
    trial = none(random)
    place = random.randrange(len(RULES))
    broken = replace(RULES[place], when=condition)
    return replace(trial, rules=(*RULES[:place], broken, *RULES[place + 1 :]), broken=True)


def _decision(verdict: str, binding: Sha256) -> Decision:
    return Decision.model_validate(
        {"verdict": verdict, "rule": "forged", "reason": "", "arguments_hash": binding}
    )
