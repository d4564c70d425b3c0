"""An agent's class with a slip in it is refused when it is made: the default would hold in its place."""

import types
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from temporalio import workflow

from agentflow import (
    AgentflowPlugin,
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    Budget,
    ModelOptions,
    Release,
    RetryOptions,
    RuleSet,
    ToolOptions,
    allow,
    deny,
    tool,
)
from agentflow.contracts.derived import Derived, Operand
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.tools import Sink
from agentflow.errors import AgentflowError
from agentflow.workflow.agent_checks import check_unchanged


@tool(effect="write", scopes=("money:send",))
async def send_wire(to: str) -> str:
    """Send a wire."""
    return to


@tool(
    effect="write",
    sinks=(Sink(argument="amount", derived=Derived.of("sum", Operand(field="price", of="prices"), 1)),),
)
async def pay(amount: Decimal) -> str:
    """Pay an amount."""
    return str(amount)


@tool(effect="read")
async def look_up(order: str) -> str:
    """Look up."""
    return order


async def hook(self: Any, task: Any) -> None:
    """Check."""


def made(**attributes: Any) -> Any:
    return made_of((AgentWorkflow[str, str],), **attributes)


def made_of(bases: tuple[Any, ...], options: dict[str, Any] | None = None, **attributes: Any) -> Any:
    async def run(self: Any, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    run.__qualname__ = "Slip.run"
    given = {"run": workflow.run(run), "tools": (send_wire,), **attributes}
    return types.new_class("Slip", bases, options or {}, lambda space: space.update(given))


class Ticket(BaseModel):
    subject: str
    body: str
    lines: list[str] = []


BUDGET = Budget(cost_usd=Decimal(1))
SLIPS: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt verifier": ({"aprover_verifier": object()}, "approver_verifier does"),
    "rules in the singular": ({"rule": (allow("a", reason=""),)}, "rules does"),
    "a sink that is derived of no tool of the agent's": (
        {"tools": (pay, look_up)},
        "tool pay: amount is derived, and the agent has no tool prices",
    ),
    "one tool in the singular": ({"tool": send_wire}, "tools does"),
    "a misspelt budget": ({"budgets": None}, "budget does"),
    "a letter less": ({"buget": BUDGET}, "budget does"),
    "letters in another order": ({"bugdet": BUDGET}, "budget does"),
    "capitals": ({"Budget": BUDGET}, "budget does"),
    "capitals throughout": ({"INSTRUCTION": "Pay."}, "instructions does"),
    "the singular": ({"instruction": "Pay."}, "instructions does"),
    "misspelt models": ({"modles": ("default",)}, "models does"),
    "a misspelt release": ({"relase": Release(version="1")}, "release does"),
    "an underscore less": ({"max_inputbytes": 5}, "max_input_bytes does"),
    "a doubled letter less": ({"aproval_timeout": timedelta(1)}, "approval_timeout does"),
    "a doubled letter less in the limits": ({"lop_limits": None}, "loop_limits does"),
    "input that is trusted": ({"untrusted_inputs": ("/body",)}, "untrusted_input does"),
    "another library's name": ({"system_prompt": "Pay."}, "instructions does"),
    "an option's field": ({"cost_usd": Decimal(1)}, r"budget = Budget\(cost_usd="),
    "another option's field": ({"scopes": ("money:send",)}, r"release = Release\(scopes="),
    "a budget of another name": ({"limit": BUDGET}, "what budget takes"),
    "rules of another name": ({"safety": (deny("d", reason=""),)}, "what rules takes"),
    "a tool of another name": ({"helper": look_up}, "what tools takes"),
    "a type without a value": ({"__annotations__": {"budget": Budget}}, "a type and no value"),
    "a misspelt type without a value": ({"__annotations__": {"buget": Budget}}, "budget does"),
    "a misspelt hook": ({"pre_flight": hook}, "preflight is"),
    "a hook with a letter less": ({"postfligt": hook}, "postflight is"),
    "a pointer as a text": ({"untrusted_input": "/body"}, "with the comma"),
    "no pointer": ({"untrusted_input": ("body",)}, "no JSON Pointer"),
    "a pointer into a text": ({"untrusted_input": ("/body",)}, "nothing there"),
    "models as a text": ({"models": "default"}, "with the comma"),
    "one tool": ({"tools": send_wire}, "with the comma"),
    "a rule alone": ({"rules": allow("a", reason="")}, "tuple of rules"),
    "a budget by number": ({"budget": 5}, "not Budget"),
    "a release by text": ({"release": "3"}, "not Release"),
    "a time by number": ({"approval_timeout": 60}, "not timedelta"),
    "no time": ({"escalation_timeout": timedelta(0)}, "more than nothing"),
    "a size by truth": ({"max_input_bytes": True}, "not int"),
    "no strategy": ({"compaction": "oldest"}, "strategy"),
    "a deny of a misspelt tool": ({"rules": (deny("d", reason="", tools=("send_wires",)),)}, "send_wire"),
    "a deny of no tool": ({"rules": (deny("d", reason="", tools=("close_account",)),)}, "close_account"),
    "a deny of a misspelt scope": ({"rules": (deny("d", reason="", scopes=("money:sent",)),)}, "money:send"),
    "a grant of no scope": ({"release": Release(version="1", scopes=("money:sent",))}, "money:send"),
    "a deny on no argument": (
        {"rules": (deny("d", reason="", when=lambda call: call.arguments.get("too") == "eve"),)},
        "the argument 'too'",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_refused_when_the_class_is_made(slip: str) -> None:
    attributes, why = SLIPS[slip]
    with pytest.raises(AgentflowError, match=why):
        made(**attributes)


def test_a_set_for_several_agents_names_the_tools_of_all() -> None:
    made(rules=RuleSet("shared", "1", (deny("d", reason="", tools=(look_up,)),), tools=(look_up, send_wire)))


def test_a_rule_may_name_a_tool_that_the_release_withholds() -> None:
    assert not made(rules=(deny("d", reason="", tools=(send_wire,)),))._definition.catalog.contracts


def test_a_class_may_have_attributes_of_its_own() -> None:
    def helper(self: Any) -> None:
        """Help."""

    made(
        currency="EUR",
        max_refund=50,
        partners=("acme",),
        deadline=timedelta(1),
        version="3",
        helper=helper,
        wire=send_wire,
        Note=Ticket,
        _budgets=None,
        __annotations__={"budget": Budget, "currency": str},
        budget=BUDGET,
    )


def test_a_mixin_in_front_counts_and_one_behind_is_refused() -> None:
    class Cheap:
        budget = BUDGET

    assert made_of((Cheap, AgentWorkflow[str, str]))._definition.budget == BUDGET
    with pytest.raises(AgentflowError, match="stands behind"):
        made_of((AgentWorkflow[str, str], Cheap))


@pytest.mark.parametrize("step", [1, -1], ids=["in front", "behind"])
def test_a_slip_in_a_mixin_is_refused(step: int) -> None:
    class Slipping:
        buget = BUDGET

    with pytest.raises(AgentflowError, match="budget does"):
        made_of((Slipping, AgentWorkflow[str, str])[::step])


def test_what_is_set_on_a_run_in_place_of_its_class_is_refused() -> None:
    class Limited:
        def __init__(self) -> None:
            super().__init__()
            self.budget = BUDGET

    with pytest.raises(AgentflowError, match=r"Limited sets self\.budget, which no run sees"):
        made_of((Limited, AgentWorkflow[str, str]))


@pytest.mark.parametrize("name", ["max_turns", "guardrails", "cost_limit", "untrusted_fields"])
def test_what_others_call_an_option_is_refused(name: str) -> None:
    with pytest.raises(AgentflowError, match=f"{name} means nothing; .* does"):
        made(**{name: 5})


@pytest.mark.parametrize("name", ["buget", "budget", "rules", "approval_timeout"])
def test_an_option_of_the_class_statement_is_refused(name: str) -> None:
    with pytest.raises(TypeError):
        made_of((AgentWorkflow[str, str],), {name: None})


POINTERS = {"/body": True, "/lines": True, "/lines/-": True, "/lines/0": True, "": True}
POINTERS |= {"/bdoy": False, "/body/text": False, "/lines/first": False, "/lines/-/x": False}


@pytest.mark.parametrize("pointer", POINTERS)
def test_a_pointer_to_what_no_task_has_is_refused(pointer: str) -> None:
    if POINTERS[pointer]:
        made_of((AgentWorkflow[Ticket, str],), untrusted_input=(pointer,))
        return
    with pytest.raises(AgentflowError, match="nothing there"):
        made_of((AgentWorkflow[Ticket, str],), untrusted_input=(pointer,))


@pytest.mark.parametrize("kind", [dict[str, Any], dict, Any, list[Any]], ids=repr)
def test_a_pointer_into_what_is_open_is_taken(kind: Any) -> None:
    made_of((AgentWorkflow[kind, str],), untrusted_input=("/0",))


@pytest.mark.parametrize("name", ["buget", "budget", "rules", "approval_timeout", "relase"])
def test_what_is_set_after_the_class_was_made_is_refused_at_a_workers_start(name: str) -> None:
    agent = made()
    check_unchanged(agent)
    setattr(agent, name, object())
    with pytest.raises(AgentflowError):
        check_unchanged(agent)


OPTIONS: list[Any] = [
    lambda: Budget(cost=1),  # pyright: ignore
    lambda: ModelOptions(max_token=3),  # pyright: ignore
    lambda: RetryOptions(attempts=3),  # pyright: ignore
    lambda: ToolOptions(timeout=3),  # pyright: ignore
    lambda: Release(version="1", scope=("x",)),  # pyright: ignore
    lambda: LoopLimits(same_calls=3),  # pyright: ignore
    lambda: AgentTask(input="x", requested_by="ann", budgte=3),  # pyright: ignore
    lambda: tool(effct="write"),  # pyright: ignore
    lambda: AgentflowPlugin(teir="dev"),  # pyright: ignore
    lambda: RuleSet("s", "1", (), tool=()),  # pyright: ignore
]


@pytest.mark.parametrize("make", OPTIONS)
def test_an_option_that_is_not_there_is_refused(make: Any) -> None:
    with pytest.raises((TypeError, ValidationError)):
        make()
