"""``agentflow run``: starting runs."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.harness import TASK_QUEUE, CommandLine, eventually

START = ("run", "Cashier", "--task-queue", TASK_QUEUE, "--requested-by", "joe")


def test_a_run_starts_and_its_workflow_id_is_all_that_is_printed(agentflow: CommandLine) -> None:
    started = agentflow(*START, "--input", '"answer 1.00"', "--id", "only-the-id")
    assert started.exit_code == 0
    assert started.stdout == "only-the-id\n"


def test_waiting_gives_the_outcome_with_money_as_a_string(agentflow: CommandLine) -> None:
    ended = agentflow(*START, "--input", '"answer 1.00"', "--wait", "--json")
    assert ended.exit_code == 0
    outcome = ended.document["outcome"]
    assert outcome["status"] == "completed"
    assert outcome["output"] == {"amount": "1.00"}
    assert isinstance(outcome["cost_usd"], str)


def test_waiting_tells_on_standard_error_where_the_run_stands(agentflow: CommandLine) -> None:
    with agentflow.started(*START, "--input", '"pay 2.00"', "--id", "watched", "--wait", "--json") as waiting:
        eventually(
            lambda: agentflow("approve", "--yes", "watched", "approval-1", "--by", "ann").exit_code == 0
        )
        stdout, stderr = waiting.communicate(timeout=60)
    assert json.loads(stdout)["outcome"]["status"] == "completed"
    assert "started watched" in stderr


def test_waiting_for_a_run_that_does_not_complete_exits_1(agentflow: CommandLine) -> None:
    with agentflow.started(*START, "--input", '"stuck"', "--id", "aborted", "--wait", "--json") as waiting:
        eventually(
            lambda: (
                agentflow("resolve", "--yes", "aborted", "abort", "--by", "ann", "--text", "no").exit_code
                == 0
            )
        )
        stdout, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert json.loads(stdout)["outcome"]["status"] == "escalated"


def test_a_run_that_fails_is_told_with_its_reason(agentflow: CommandLine) -> None:
    failed = agentflow(*START, "--input", '{"not": "a string"}', "--wait", "--json")
    assert failed.exit_code == 1
    assert "malformed AgentTask[str]: input" in failed.error


def test_ctrl_c_stops_waiting_quietly(agentflow: CommandLine) -> None:
    with agentflow.started(*START, "--input", '"pay 2.00"', "--id", "left-alone", "--wait") as waiting:
        eventually(lambda: agentflow("approvals", "left-alone").exit_code == 0)
        waiting.send_signal(signal.SIGINT)
        _, stderr = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "Traceback" not in stderr


def test_the_task_can_come_from_a_file(agentflow: CommandLine, tmp_path: Path) -> None:
    task = tmp_path / "task.json"
    task.write_text('"answer 3.00"')
    ended = agentflow(*START, "--input", f"@{task}", "--wait", "--json")
    assert ended.document["outcome"]["output"] == {"amount": "3.00"}


def test_the_task_can_come_from_standard_input(agentflow: CommandLine) -> None:
    ended = agentflow(*START, "--input", "-", "--wait", "--json", input='"answer 4.00"')
    assert ended.document["outcome"]["output"] == {"amount": "4.00"}


@pytest.mark.parametrize("given", ["pay me", "{", "", "NaN", '"one" "two"'])
def test_input_that_is_not_json_is_refused_before_anything_starts(agentflow: CommandLine, given: str) -> None:
    refused = agentflow(*START, "--input", given, "--json")
    assert refused.exit_code == 2
    assert "--input: it isn't JSON" in refused.error


def test_a_file_that_is_not_there_is_named(agentflow: CommandLine) -> None:
    refused = agentflow(*START, "--input", "@nothing-here.json", "--json")
    assert refused.exit_code == 2
    assert "nothing-here.json can't be read" in refused.error


def test_a_tenant_that_is_no_name_is_refused(agentflow: CommandLine) -> None:
    refused = agentflow(*START, "--input", "1", "--tenant", "ada@example.com", "--json")
    assert refused.exit_code == 2
    assert "tenant" in refused.error


def test_the_same_case_does_not_start_twice(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    again = agentflow(*START, "--input", '"pay 1.00"', "--id", workflow_id, "--json")
    assert again.exit_code == 1
    assert f"{workflow_id} is running already" in again.error


def test_a_task_without_a_person_is_a_usage_error(agentflow: CommandLine) -> None:
    missing = agentflow("run", "Cashier", "--task-queue", TASK_QUEUE, "--input", "1")
    assert missing.exit_code == 2
    assert "--requested-by" in missing.stderr
