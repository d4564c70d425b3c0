"""What ``agentflow status`` shows of a write that may or may not have happened."""

import shlex
from io import StringIO

import pytest
from rich.console import Console

from agentflow.cli.outcome import outcome_views
from agentflow.contracts.outcome import AgentOutcome, ToolCallSummary
from agentflow.contracts.wire import ToolCallId
from tests.cli.harness import CommandLine


def test_a_write_in_doubt_is_shown_with_all_that_is_known(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    effect = agentflow("status", workflow_id, "--json").document["status"]["escalation"]["effect"]
    shown = agentflow("status", workflow_id).stdout
    for known in ("wire", '"amount": "9.00"', '"to": "DE00"', effect["key"], "the bank did not answer"):
        assert known in shown
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("attempts")] == ["1"]


@pytest.mark.parametrize("answer", ["happened", "did_not_happen", "abort"])
def test_the_command_that_is_shown_answers_it(agentflow: CommandLine, answer: str) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    lines = agentflow("status", workflow_id).stdout.splitlines()
    command = next(line for line in lines if line.startswith(f"agentflow resolve {workflow_id} {answer}"))
    words = ['"wired"' if word == "JSON" else word for word in shlex.split(command)]
    done = agentflow(*words[1:], "--yes")
    assert done.exit_code == 0, done.stderr


def test_a_write_in_doubt_is_not_offered_guidance(agentflow: CommandLine) -> None:
    assert "guide" not in agentflow("status", agentflow.waiting("wire 9.00")).stdout


def test_hostile_arguments_have_no_power_there(agentflow: CommandLine) -> None:
    shown = agentflow("status", agentflow.waiting("wire-hostile")).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[red]" in shown


def test_an_outcome_shows_what_nobody_found_out(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    agentflow("resolve", "--yes", workflow_id, "abort", "--by", "ann")
    agentflow.outcome(workflow_id)
    assert "UNKNOWN" in agentflow("status", workflow_id).stdout


@pytest.mark.parametrize(
    ("effect", "shown"), [("done", "done"), ("failed", "not done"), ("unknown", "UNKNOWN"), (None, "RESULT")]
)
def test_what_became_of_a_call_is_a_word(effect: str | None, shown: str) -> None:
    call = ToolCallSummary(
        tool_call_id=ToolCallId("1"),
        tool="wire",
        arguments={},
        rule="wires",
        error="failed: x",
        effect=effect,
    )
    console = Console(width=120, record=True, file=StringIO())
    for view in outcome_views(AgentOutcome(status="completed", tool_calls=(call,))):
        console.print(view)
    assert shown in console.export_text()
