"""``agentflow approvals``, ``approve`` and ``reject``: people decide on exact arguments."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.harness import ROOT, CommandLine, eventually

CTRL_C = b"\x03"


def pending_ids(agentflow: CommandLine, workflow_id: str) -> list[str]:
    runs = agentflow("approvals", "--json").document["runs"]
    return [
        request["id"] for run in runs if run["workflow_id"] == workflow_id for request in run["approvals"]
    ]


def at_a_terminal(agentflow: CommandLine, workflow_id: str, typed: bytes) -> tuple[int, str]:
    """What comes of approving where somebody can be asked, and what is on the screen."""
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "agentflow.cli", "approve", workflow_id, "approval-1", "--by", "ann"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=agentflow.environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    screen = b""
    while b"[y/N]" not in screen:
        screen += os.read(keyboard, 4096)
    if typed == CTRL_C:
        # The signal that Ctrl-C is; the terminal isn't the process's own, so the key would do nothing.
        # The prompt is on the screen a moment before Python reads, and a signal in between waits for Enter.
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
    else:
        os.write(keyboard, typed)
    code = process.wait(timeout=30)
    try:
        while more := os.read(keyboard, 4096):
            screen += more
    except OSError:
        # Linux says so when the other end of the terminal is closed.
        pass
    os.close(keyboard)
    return code, screen.decode()


def test_a_pending_approval_is_shown_with_everything_it_is_about(agentflow: CommandLine) -> None:
    approval = agentflow.approval(agentflow.waiting("transfer 900"))
    assert approval["tool"] == "transfer"
    assert approval["arguments"] == {"amount": "900"}
    assert (approval["rule"], approval["reason"]) == ("transfers", "a lot of money")
    assert approval["quorum"] == {"people": 2, "roles": ["finance"]}
    assert approval["sources"] == {"amount": "task?"}


def test_approvals_of_all_runs_are_found(agentflow: CommandLine) -> None:
    first, second = agentflow.waiting("pay 1.00"), agentflow.waiting("pay 2.00")
    eventually(lambda: pending_ids(agentflow, first) == ["approval-1"])
    eventually(lambda: pending_ids(agentflow, second) == ["approval-1"])


def test_the_command_that_is_shown_approves(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("transfer 900")
    shown = agentflow("approvals", workflow_id).stdout
    command = next(line for line in shown.splitlines() if line.startswith("agentflow approve"))
    done = agentflow(*shlex.split(command)[1:], "--yes")
    assert done.exit_code == 0, done.stderr


def test_hostile_text_reaches_the_terminal_written_out(agentflow: CommandLine) -> None:
    shown = agentflow("approvals", agentflow.waiting("hostile")).stdout
    assert "[red]1[/red]\\u001b[2J\\u202e\\n9" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_an_approval_counts_and_the_run_goes_on(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    receipt = agentflow("approve", "--yes", workflow_id, "approval-1", "--by", "ann", "--json")
    assert receipt.exit_code == 0
    assert receipt.document == {"approval_id": "approval-1", "status": "approved", "people_needed": 0}
    (call,) = agentflow.outcome(workflow_id)["tool_calls"]
    assert call["approved_by"] == ["ann"]


def test_what_is_approved_is_shown_first(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    shown = agentflow("approve", "--yes", workflow_id, "approval-1", "--by", "ann").stdout
    assert shown.index('"amount": "1.00"') < shown.index("approval-1 is approved")


def test_two_people_are_needed_where_the_rule_says_so(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("transfer 900")
    first = agentflow(
        "approve", "--yes", workflow_id, "approval-1", "--by", "ann", "--role", "finance", "--json"
    )
    assert (first.document["status"], first.document["people_needed"]) == ("pending", 1)
    second = agentflow(
        "approve", "--yes", workflow_id, "approval-1", "--by", "bob", "--role", "finance", "--json"
    )
    assert second.document["status"] == "approved"


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (("--by", "joe", "--role", "finance"), "joe asked for this run and may not approve its actions"),
        (("--by", "ann"), "ann has none of the roles finance"),
    ],
)
def test_an_approval_that_does_not_count_exits_1_with_the_reason(
    agentflow: CommandLine, who: tuple[str, ...], why: str
) -> None:
    refused = agentflow("approve", "--yes", agentflow.waiting("transfer 900"), "approval-1", *who, "--json")
    assert refused.exit_code == 1
    assert refused.error == why


def test_arguments_other_than_those_looked_at_are_refused(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    refused = agentflow(
        "approve", "--yes", workflow_id, "approval-1", "--by", "ann", "--hash", "0" * 64, "--json"
    )
    assert refused.exit_code == 1
    assert "has other arguments than those you looked at" in refused.error
    assert agentflow.approval(workflow_id)["id"] == "approval-1"


def test_a_rejection_is_recorded_with_its_reason(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    done = agentflow(
        "reject", "--yes", workflow_id, "approval-1", "--by", "ann", "--reason", "too much", "--json"
    )
    assert done.document["status"] == "rejected"
    agentflow.outcome(workflow_id)
    log = agentflow("status", workflow_id, "--decisions", "--json").document["decisions"]
    assert any(line["subject"] == "rejection" and "too much" in line["detail"] for line in log)


def test_an_approval_that_is_not_pending_names_those_that_are(agentflow: CommandLine) -> None:
    refused = agentflow(
        "approve", "--yes", agentflow.waiting("pay 1.00"), "approval-9", "--by", "ann", "--json"
    )
    assert refused.exit_code == 1
    assert "(approval-1 is)" in refused.error


def test_a_name_that_is_too_long_is_a_usage_error(agentflow: CommandLine) -> None:
    refused = agentflow(
        "approve", "--yes", agentflow.waiting("pay 1.00"), "approval-1", "--by", "x" * 300, "--json"
    )
    assert refused.exit_code == 2
    assert "by: " in refused.error


def test_an_unknown_run_is_not_found(agentflow: CommandLine) -> None:
    assert agentflow("approve", "--yes", "no-such-run", "approval-1", "--by", "ann").exit_code == 4


def test_a_decision_needs_a_name(agentflow: CommandLine) -> None:
    assert agentflow("approve", "any", "approval-1").exit_code == 2


def test_an_approval_works_as_a_process_and_prints_one_document(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    done = agentflow.process("approve", "--yes", workflow_id, "approval-1", "--by", "ann", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "approved"


def test_a_person_at_a_terminal_is_asked_and_yes_approves(agentflow: CommandLine) -> None:
    code, screen = at_a_terminal(agentflow, agentflow.waiting("pay 1.00"), b"y\n")
    assert code == 0, screen
    assert "Approve pay as ann?" in screen
    assert "approval-1 is approved" in screen


@pytest.mark.parametrize(("typed", "code"), [(b"n\n", 1), (b"\n", 1), (CTRL_C, 130)])
def test_anything_but_yes_sends_nothing(agentflow: CommandLine, typed: bytes, code: int) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    ended, screen = at_a_terminal(agentflow, workflow_id, typed)
    assert ended == code, screen
    assert "Traceback" not in screen
    assert agentflow.approval(workflow_id)["id"] == "approval-1"


@pytest.mark.slow
def test_a_run_whose_worker_is_gone_is_listed_all_the_same(agentflow: CommandLine) -> None:
    with agentflow.worker("abandoned") as worker:
        lost = agentflow.waiting("pay 1.00", task_queue="abandoned")
        worker.kill()
    eventually(lambda: pending_ids(agentflow, lost) == ["approval-1"])
