"""The kinds of change that are deployed: each differs from the release before in exactly one thing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import field_validator

from agentflow import (
    Budget,
    Release,
    RetryOptions,
    RuleContext,
    RunDenied,
    ToolOptions,
    allow,
    ask,
    deny,
    sinks_from_trusted_input,
)
from agentflow.contracts.guards import OutputCheck
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.model import ModelOptions
from agentflow.core.rules import Rule, RuleSet
from benchmarks.deploys import tools
from benchmarks.deploys.agent import RULES, Order, Parts, Receipt, is_large
from benchmarks.deploys.outside import Outside

Edit = Callable[[Parts, Outside], Parts]


@dataclass(frozen=True)
class Change:
    """One kind of change."""

    name: str
    edit: Edit
    refuses: str | None = None
    """The tool that takes other arguments from here on, or is gone: a run that was pinned to the one before
    is refused each call of it by the new worker, and a person is asked."""
    denies: bool = False
    """Whether the code of the rule that ``pay`` is asked by is gone: there the new worker ends a run."""
    asks_twice: bool = False
    """Whether what a person said of a write in doubt doesn't fit what the tool answers by now: they are asked
    again."""


class ReceiptWithNote(Receipt):
    """One field more, which may be left out."""

    note: str = ""


class ReceiptWithSignature(Receipt):
    """One field more."""

    signature: str


class NoReceipt(Receipt):
    """The same form, and its code takes none."""

    @field_validator("account")
    @classmethod
    def _none_will_do(cls, _: str) -> str:
        raise ValueError("no account will do")


class OrderWithChannel(Order):
    """One field more, which may be left out."""

    channel: str = "web"


class OrderWithSignature(Order):
    """One field more."""

    signature: str


class NoVerifier:
    """Takes nobody for who they say they are."""

    method = "nobody"

    async def verify(self, *_: object) -> None:
        """Take nobody."""

    async def verify_resolution(self, *_: object) -> None:
        """Take nobody."""


class NoOutput:
    """Lets no output leave."""

    async def check_output(self, check: OutputCheck) -> None:
        """Refuse."""
        raise ValueError("no output may leave")


def is_more_than_a_coffee(context: RuleContext) -> bool:
    """The condition of the same rule, in other words."""
    return context.amount("amount") > 3


async def _refuse(self: Any, _: Any) -> None:
    raise RunDenied("nothing passes any more")


def _saying(**attributes: Any) -> Edit:
    return lambda parts, _: parts.saying(**attributes)


def _having(**parts_: Any) -> Edit:
    return lambda parts, _: parts.having(**parts_)


def _tool(make: Callable[..., tools.AnyTool], **promises: Any) -> Edit:
    return lambda parts, outside: parts.with_tool(make(outside, **promises))


def _options(**options: Any) -> ToolOptions:
    return tools.FAST.model_copy(update=options)


def _rules(*changed: Rule) -> Edit:
    """Other rules of these names, and the new ones."""
    by_name = {rule.name: rule for rule in changed}
    kept = [by_name.pop(rule.name, rule) for rule in RULES]
    return _saying(rules=(*kept, *by_name.values()))


def _budget(**limits: Any) -> Edit:
    return _saying(budget=Budget(**{"cost_usd": Decimal(5), **limits}))


def _model(**options: Any) -> Edit:
    def edit(parts: Parts, _: Outside) -> Parts:
        before: ModelOptions = parts.attributes["model_options"]
        return parts.saying(model_options=before.model_copy(update=options))

    return edit


def _instructions(parts: Parts, _: Outside) -> Parts:
    return parts.saying(instructions=parts.attributes["instructions"].replace("shop", "store"))


def _reordered(parts: Parts, _: Outside) -> Parts:
    return parts.having(tools=parts.tools[::-1])


_EVERY_KIND = (
    # ------------------------------------------------------------ what the model is told
    Change("one word of the instructions", _instructions),
    Change("docstring of a read", _tool(tools.look, doc="Look an account up, please.")),
    Change("docstring of a write", _tool(tools.note, doc="Put a friendly note on the account.")),
    Change(
        "tool added last", lambda parts, outside: parts.having(tools=(*parts.tools, tools.greet(outside)))
    ),
    Change(
        "tool added first", lambda parts, outside: parts.having(tools=(tools.greet(outside), *parts.tools))
    ),
    Change("unused tool removed", lambda parts, _: parts.without("archive")),
    Change("tools reordered", _reordered),
    # ------------------------------------------------------------ what tools are
    Change("read removed that is called", lambda parts, _: parts.without("look"), refuses="look"),
    Change(
        "write removed that is called",
        lambda parts, _: parts.without("note").saying(rules=RULES[1:]),
        refuses="note",
    ),
    Change("optional argument added", _tool(tools.note_with_option), refuses="note"),
    Change("required argument added", _tool(tools.note_with_more), refuses="note"),
    Change("type of an argument", _tool(tools.note_by_number), refuses="note"),
    Change("argument renamed", _tool(tools.note_renamed), refuses="note"),
    Change("a read writes", _tool(tools.look, effect="write", recovery="key"), refuses="look"),
    Change("a write is irreversible", _tool(tools.note, effect="irreversible"), refuses="note"),
    Change("a write reads", _tool(tools.note, effect="read", recovery="ask"), refuses="note"),
    Change("recovery of a write", _tool(tools.note, recovery="ask"), refuses="note"),
    Change("price of a tool", _tool(tools.note, options=_options(cost_usd=Decimal(100)))),
    Change(
        "time-outs and retries of a tool",
        _tool(
            tools.note,
            options=_options(start_to_close_timeout=timedelta(seconds=3), retry=RetryOptions(max_attempts=1)),
        ),
    ),
    Change("size limit of a tool", _tool(tools.note, options=_options(max_argument_bytes=3))),
    Change("sinks of a tool", _tool(tools.transfer, sinks=())),
    Change("output of a tool is trusted", _tool(tools.look, trusted_output=True)),
    Change(
        "a read is local",
        _tool(tools.look, local=True, options=_options(start_to_close_timeout=timedelta(seconds=5))),
    ),
    Change("sentence of a tool", _tool(tools.transfer, sentence="Transfer {amount} dollars")),
    Change("scope of a tool", _tool(tools.note, scopes=("notes",))),
    Change("output of a tool", _tool(tools.ship_with_number), asks_twice=True),
    # ------------------------------------------------------------ what it may spend
    Change("budget below what is spent", _budget(cost_usd=Decimal("0.0001"), model_calls=1, tool_calls=1)),
    Change("budget raised", _budget(cost_usd=Decimal(50), model_calls=400)),
    Change("wall time shortened", _budget(wall_time=timedelta(seconds=1))),
    Change("wall time removed", _budget(wall_time=None)),
    Change("prices of the price book", _having(price_factor=100_000)),
    Change("model gone from the price book", _having(price_factor=None)),
    # ------------------------------------------------------------ models
    Change("longest answer of a model", _model(max_output_tokens=7)),
    Change("temperature", _model(temperature=1.0)),
    Change("retries of a model", _model(retry=RetryOptions(max_attempts=1))),
    Change("models of the route", _saying(models=("second", "default"))),
    Change("alias of the worker", _having(aliases={"default": "scripted:other"})),
    # ------------------------------------------------------------ rules
    Change("rule: allow to deny", _rules(deny("notes", reason="no", tools=("note", "ship")))),
    Change("rule: allow to ask", _rules(ask("notes", reason="who knows", tools=("note", "ship")))),
    Change("rule: ask to allow", _rules(allow("transfers", reason="why not", tools=("transfer",)))),
    Change("rule: ask to deny", _rules(deny("transfers", reason="no", tools=("transfer",)))),
    Change("rule: more people", _rules(ask("transfers", reason="much", tools=("transfer",), people=2))),
    Change("rule: other roles", _rules(ask("transfers", reason="much", tools=("transfer",), roles=("cfo",)))),
    Change("rule: other tiers", _rules(allow("notes", reason="ok", tools=("note",), tiers=("production",)))),
    Change(
        "rule: renamed", _saying(rules=(allow("scribbles", reason="ok", tools=("note", "ship")), *RULES[1:]))
    ),
    Change("rule: deny added", _rules(deny("nobody", reason="nothing is done"))),
    Change("rule: ready one added", _rules(sinks_from_trusted_input())),
    Change("rule: code added", _rules(deny("coffee", reason="no", when=is_more_than_a_coffee))),
    Change(
        "rule: code changed",
        _rules(ask("large", reason="large ones need somebody", tools=("pay",), when=is_more_than_a_coffee)),
        denies=True,
    ),
    Change("rule: code removed", _saying(rules=RULES[:3]), denies=True),
    Change(
        "rule: code has another verdict", _rules(deny("large", reason="no", tools=("pay",), when=is_large))
    ),
    Change("rule set named", _saying(rules=RuleSet("house rules", "7", RULES))),
    # ------------------------------------------------------------ what it takes and answers
    Change("answer: field with a default", _having(output_type=ReceiptWithNote)),
    Change("answer: field required", _having(output_type=ReceiptWithSignature)),
    Change("answer: validator", _having(output_type=NoReceipt)),
    Change("answer: free text", _having(output_type=str)),
    Change("task: field with a default", _having(input_type=OrderWithChannel)),
    Change("task: field required", _having(input_type=OrderWithSignature)),
    Change("task: free text", _having(input_type=str)),
    Change("task: untrusted part", _saying(untrusted_input=("/account",))),
    Change("task: longest input", _saying(max_input_bytes=1)),
    # ------------------------------------------------------------ how it runs
    Change("approval time-out", _saying(approval_timeout=timedelta(seconds=1))),
    Change("escalation time-out", _saying(escalation_timeout=timedelta(seconds=1))),
    Change(
        "loop limits",
        _saying(loop_limits=LoopLimits(same_call=1, failures_in_a_row=1, turns_without_progress=1)),
    ),
    Change("no compaction", _saying(compaction=None)),
    Change("history limit lowered", _saying(max_history_bytes=1)),
    Change("history limit raised", _saying(max_history_bytes=40 * 1024 * 1024)),
    Change("preflight refuses", _saying(preflight=_refuse)),
    Change("postflight refuses", _saying(postflight=_refuse)),
    Change("verifier of approvers", _saying(approver_verifier=NoVerifier())),
    Change("earlier effects", _saying(earlier_effects="again")),
    Change("release version", _saying(release=Release(version="2", proven_models=()))),
    Change("class renamed", _having(class_name="Bookkeeper")),
    Change("output guard", _having(worker={"output_guard": NoOutput()})),
)

CHANGES = {change.name: change for change in _EVERY_KIND}
"""By name."""
