"""An agent's class with a slip in it is refused when it is made: the default would hold in its place."""

import types
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, allow, deny, tool
from agentflow.errors import AgentflowError


@tool(effect="write", scopes=("money:send",))
async def send_wire(to: str) -> str:
    """Send a wire."""
    return to


def made(**attributes: Any) -> type:
    async def run(self: Any, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    run.__qualname__ = "Slip.run"
    given = {"run": workflow.run(run), "tools": (send_wire,), **attributes}
    return types.new_class("Slip", (AgentWorkflow[str, str],), {}, lambda space: space.update(given))


SLIPS: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt verifier": ({"aprover_verifier": object()}, "approver_verifier does"),
    "rules in the singular": ({"rule": (allow("a", reason=""),)}, "rules does"),
    "a misspelt budget": ({"budgets": None}, "budget does"),
    "input that is trusted": ({"untrusted_inputs": ("/body",)}, "untrusted_input does"),
    "a pointer as a text": ({"untrusted_input": "/body"}, "with the comma"),
    "no pointer": ({"untrusted_input": ("body",)}, "no JSON Pointer"),
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
    "a deny of a misspelt scope": ({"rules": (deny("d", reason="", scopes=("money:sent",)),)}, "money:send"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_refused_when_the_class_is_made(slip: str) -> None:
    attributes, why = SLIPS[slip]
    with pytest.raises(AgentflowError, match=why):
        made(**attributes)


def test_rules_may_name_other_agents_tools_and_classes_may_have_attributes_of_their_own() -> None:
    made(rules=(deny("d", reason="", tools=("close_account",)),), currency="EUR", _budgets=None)
