"""``agentflow approvals`` over many runs: filtered, decided in a batch, watched."""

import json
import signal
from uuid import uuid4

import pytest

from tests.cli.harness import CommandLine, eventually


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4()}"


def count(agentflow: CommandLine, *options: str) -> int:
    return len(agentflow("approvals", *options, "--json").document["runs"])


def waiting(agentflow: CommandLine, tenant: str, *tasks: str) -> list[str]:
    """Runs that wait, and are listed by now."""
    runs = [agentflow.waiting(task, "--tenant", tenant) for task in tasks]
    eventually(lambda: count(agentflow, "--tenant", tenant) == len(tasks))
    return runs


def test_a_list_can_be_narrowed(agentflow: CommandLine, tenant: str) -> None:
    waiting(agentflow, tenant, "pay 1.00", "transfer 900")
    assert count(agentflow, "--tenant", tenant, "--tool", "pay") == 1
    assert count(agentflow, "--tenant", tenant, "--role", "finance") == 2
    assert count(agentflow, "list", "--tenant", tenant, "--role", "ops") == 1
    assert count(agentflow, "--tenant", tenant, "--rule", "none") == 0
    assert count(agentflow, "--tenant", tenant, "--limit", "1") == 1


def test_a_short_list_has_a_line_for_each(agentflow: CommandLine, tenant: str) -> None:
    (run,) = waiting(agentflow, tenant, "transfer 900")
    shown = agentflow("approvals", "list", "--short", "--tenant", tenant).stdout
    (line,) = [line for line in shown.splitlines() if run in line]
    assert "amount 900" in line
    assert "2 finance" in line


def test_a_batch_is_shown_and_decided(agentflow: CommandLine, tenant: str) -> None:
    runs = waiting(agentflow, tenant, "pay 1.00", "pay 2.00", "transfer 900")
    done = agentflow("approvals", "approve", "--by", "ann", "--tenant", tenant, "--tool", "pay", "--yes")
    assert done.exit_code == 0, done.stderr
    assert "2 of 2 counted" in done.stdout
    assert '"amount": "1.00"}' in done.stdout
    assert [agentflow.outcome(run)["status"] for run in runs[:2]] == ["completed", "completed"]
    assert count(agentflow, runs[2]) == 1


def test_a_batch_can_be_rejected(agentflow: CommandLine, tenant: str) -> None:
    (run,) = waiting(agentflow, tenant, "pay 1.00")
    options = ["--by", "ann", "--tenant", tenant, "--reason", "not today", "--yes", "--json"]
    done = agentflow("approvals", "reject", *options)
    assert [one["receipt"]["status"] for one in done.document["decided"]] == ["rejected"]
    assert "not today" in json.dumps(agentflow("status", run, "--decisions", "--json").document)


def test_one_that_does_not_count_is_told_and_the_others_count(agentflow: CommandLine, tenant: str) -> None:
    waiting(agentflow, tenant, "pay 1.00", "transfer 900")
    # Without the role, the transfer is not theirs to approve.
    done = agentflow("approvals", "approve", "--by", "ann", "--tenant", tenant, "--yes")
    assert done.exit_code == 1
    assert "1 of 2 counted" in done.stdout
    assert "none of the roles finance" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--by", "ann", "--yes"], 2, "say which: --agent"),
        (["--all", "--yes"], 2, "say who you are"),
        (["--by", "ann", "--signed", "--all"], 2, "say who you are"),
        (["--by", "ann", "--tenant", "nobody's", "--yes"], 1, "nothing like that is pending"),
    ],
)
def test_a_batch_must_say_who_and_which(
    agentflow: CommandLine, options: list[str], code: int, said: str
) -> None:
    answer = agentflow("approvals", "approve", *options)
    assert (answer.exit_code, said in answer.stderr) == (code, True), answer.stderr


def test_where_nobody_can_be_asked_a_batch_needs_yes(agentflow: CommandLine, tenant: str) -> None:
    waiting(agentflow, tenant, "pay 1.00")
    answer = agentflow("approvals", "approve", "--by", "ann", "--tenant", tenant)
    assert answer.exit_code == 2
    assert "nothing was sent" in answer.stderr
    assert count(agentflow, "--tenant", tenant) == 1


def test_watch_tells_of_what_comes_and_goes(agentflow: CommandLine, tenant: str) -> None:
    options = ["--tenant", tenant, "--every", "0.2", "--json"]
    with agentflow.started("approvals", "watch", *options) as process:
        assert process.stdout
        run = agentflow.waiting("pay 1.00", "--tenant", tenant)
        come = json.loads(process.stdout.readline())
        agentflow("approve", run, "approval-1", "--by", "ann", "--yes")
        went = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert [one["event"] for one in (come, went)] == ["pending", "gone"]
    assert {one["workflow_id"] for one in (come, went)} == {run}
