"""What is plugged into workflow code, by wrong returns: other types, coroutines and odd objects count as no.

These are asked without a time limit of ours: code of a user's own that hangs in a workflow task is ended by
Temporal's detector of deadlocks, and the task is tried again.
"""

from collections.abc import Callable
from typing import Any

import pytest

from agentflow.contracts.messages import CompactionMessage
from agentflow.contracts.rules import Quorum
from agentflow.core.compaction import Outlined, Summarise, planned
from agentflow.core.policy import decide
from agentflow.core.rules import EVERY_TIER, Match, allow
from benchmarks.attacks.wrong_answers import MATCHES, PLAIN, Odd
from tests.core.samples import rule_context


def endless() -> Any:
    while True:
        yield Match("r", "allow", "")


ALLOWING = Match("r", "allow", "")
NO_QUORUM = Quorum.model_construct(people=0, roles=(), next_roles=())

NO_MATCHES: dict[str, Callable[[], Any]] = {
    **PLAIN,
    **MATCHES,
    "the class": lambda: Match,
    "without end": endless,
    "a list of texts": lambda: ["allow"],
    "no verdict": lambda: [Match("r", Odd(), "")],  # pyright: ignore
    "a guard by text": lambda: [Match("r", "ask", "", is_guard="no")],  # pyright: ignore
    "nobody's consent": lambda: [Match("r", "ask", "", NO_QUORUM)],
    "an allow with a quorum": lambda: [Match("r", "allow", "", Quorum(people=2))],
    "good and bad": lambda: [ALLOWING, Odd()],
}


@pytest.mark.parametrize("wrong", NO_MATCHES)
def test_an_engine_that_answers_no_matches_denies(wrong: str) -> None:
    class Engine:
        engine = "mine 1"
        content = "mine"

        def judge(self, context: object) -> Any:
            return NO_MATCHES[wrong]()

    rules = [allow("all", reason="", tiers=EVERY_TIER)]
    decision = decide(rules, rule_context(), (Engine(),))
    assert (decision.verdict, decision.rule) == ("deny", "error"), decision


def test_an_engine_whose_name_is_none_denies_when_it_fails() -> None:
    class Engine:
        engine = Odd()
        content = "mine"

        def judge(self, context: object) -> Any:
            return None

    engine: Any = Engine()
    assert decide([allow("all", reason="", tiers=EVERY_TIER)], rule_context(), (engine,)).verdict == "deny"


@pytest.mark.parametrize("wrong", sorted(PLAIN.keys() - {"true", "false"}))
def test_a_condition_that_answers_neither_true_nor_false_denies(wrong: str) -> None:
    rules = [
        allow("all", reason="", tiers=EVERY_TIER),
        allow("odd", reason="", tiers=EVERY_TIER, when=lambda context: PLAIN[wrong]()),
    ]
    decision = decide(rules, rule_context())
    assert (decision.verdict, decision.rule) == ("deny", "error")


class OtherSummary(Summarise):
    pass


OUTLINE = (Outlined("user", 100), Outlined("assistant", 100), Outlined("tool", 5_000), Outlined("user", 100))
NO_PLANS: dict[str, Callable[[], Any]] = {
    **PLAIN,
    "the class": lambda: Summarise,
    "clears nothing": lambda: CompactionMessage(strategy="mine"),
    "clears what isn't there": lambda: CompactionMessage(strategy="mine", clear_before=99),
    "replaces what isn't there": lambda: CompactionMessage(strategy="mine", start=3, end=99, summary="s"),
    "replaces backwards": lambda: CompactionMessage(strategy="mine", start=3, end=1, summary="s"),
    "replaces by more": lambda: CompactionMessage(strategy="mine", start=0, end=1, summary="s" * 9_000),
    "counts from below": lambda: CompactionMessage.model_construct(strategy="mine", start=-1, end=3),
    "summarises nothing": lambda: Summarise(1, 1),
    "summarises what isn't there": lambda: Summarise(1, 99),
    "summarises by another model": lambda: Summarise(0, 3, model=7),
    "summarises by a text": lambda: Summarise("0", 3),  # pyright: ignore
    "a subclass": lambda: OtherSummary(0, 3),
}


@pytest.mark.parametrize("wrong", NO_PLANS)
def test_a_strategy_without_a_plan_has_a_person_asked(wrong: str) -> None:
    class Strategy:
        name = "mine"

        def plan(self, outline: object, excess: int) -> Any:
            return NO_PLANS[wrong]()

    plan, problem = planned(Strategy(), OUTLINE, 1_000, 2)
    assert plan is None
    assert problem


def test_a_plan_that_shortens_is_taken() -> None:
    class Strategy:
        name = "mine"

        def plan(self, outline: object, excess: int) -> CompactionMessage:
            return CompactionMessage(strategy="mine", clear_before=3)

    assert planned(Strategy(), OUTLINE, 1_000, 2) == (Strategy().plan(OUTLINE, 1_000), "")
