"""Names at the shell: what can't be seen in one is refused by its code point, before anything is sent."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.harness import TASK_QUEUE, CommandLine

HIDDEN = "an\u200bn"
HASH = "0" * 64


@pytest.mark.parametrize(
    "words",
    [
        ("approve", "no-run", "approval-1", "--by", HIDDEN),
        ("approve", "no-run", "approval-1", "--by", "ann", "--role", HIDDEN),
        ("reject", "no-run", "approval-1", "--by", HIDDEN),
        ("approvals", "approve", "--by", HIDDEN, "--all"),
        ("approvals", "list", "--role", HIDDEN),
        ("approvals", "list", "--tenant", HIDDEN),
        ("approvals", "list", "--agent", HIDDEN),
        ("resolve", "no-run", "abort", "--by", HIDDEN),
        ("freeze", "--fleet", "--by", HIDDEN),
        ("freeze", "--tenant", HIDDEN, "--by", "ann"),
        ("freeze", "--agent", HIDDEN, "--by", "ann"),
        ("unfreeze", "--fleet", "--by", HIDDEN),
        ("ledger", "resolve", HASH, "abort", "--by", HIDDEN),
        ("approver", "init", "--subject", HIDDEN, "--plain"),
        ("approver", "init", "--subject", "ann", "--role", HIDDEN, "--plain"),
        ("approver", "delegate", "--to", HIDDEN),
        ("approver", "delegate", "--to", "bob", "--role", HIDDEN),
        ("approver", "revoke", "kid-1", "--by", HIDDEN),
        ("runs", "--tenant", HIDDEN),
        ("runs", "--agent", HIDDEN),
        ("cost", "--tenant", HIDDEN),
        ("run", "Cashier", "--task-queue", TASK_QUEUE, "--input", "1", "--requested-by", HIDDEN),
        (
            "run",
            "Cashier",
            "--task-queue",
            TASK_QUEUE,
            "--input",
            "1",
            "--requested-by",
            "joe",
            "--tenant",
            HIDDEN,
        ),
    ],
    ids=" ".join,
)
def test_a_name_with_something_hidden_in_it_is_a_usage_error(
    agentflow: CommandLine, tmp_path: Path, words: tuple[str, ...]
) -> None:
    told = agentflow(*words, AGENTFLOW_APPROVER_KEY=str(tmp_path / "none.json"))
    assert told.exit_code == 2
    assert "U+200B as character 3" in " ".join((told.stderr + told.stdout).split()).replace("│ ", "")
    assert HIDDEN not in told.stderr


def test_a_signed_start_names_the_person_of_the_key(agentflow: CommandLine, tmp_path: Path) -> None:
    key = tmp_path / "joe.json"
    assert agentflow("approver", "init", "--subject", "joe", "--key-file", str(key), "--plain").exit_code == 0
    run = f"signed-{uuid4()}"
    started = agentflow(
        "run", "Cashier", "--task-queue", TASK_QUEUE, "--input", json.dumps("answer 1.00"), "--requested-by", "joe",
        "--id", run, "--signed", "--key-file", str(key), "--wait", "--json",
    )  # fmt: skip
    assert started.exit_code == 0
    assert started.document["outcome"]["status"] == "completed"


def test_an_approver_is_shown_that_nobody_verified_who_asked(agentflow: CommandLine) -> None:
    run = agentflow.waiting("pay 1.00")
    assert "who asked for the run (not verified)" in " ".join(agentflow("approvals", run).stdout.split())
    agentflow("reject", run, "approval-1", "--by", "ann")
