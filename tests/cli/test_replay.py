"""``agentflow replay``: recorded runs against today's code."""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from tests.cli.harness import MODULE, CommandLine, eventually

CHANGED = "tests.cli.changed_agents"
LACKING = "tests.cli.lacking_agents"
OTHER = "workflows.support_refund"


@pytest.fixture(scope="session")
def history(agentflow: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of a run that paid."""
    path = tmp_path_factory.mktemp("histories") / "paid.json"
    workflow_id = agentflow.waiting("pay 1.00")
    agentflow("approve", "--yes", workflow_id, "approval-1", "--by", "ann")
    agentflow.outcome(workflow_id)
    saved = agentflow("replay", workflow_id, "--workflows", MODULE, "--save", str(path), "--json")
    assert saved.document["ok"] is True
    return path


def test_a_run_replays_on_the_code_that_made_it(agentflow: CommandLine) -> None:
    workflow_id = agentflow.start("answer 1.00")
    agentflow.outcome(workflow_id)
    (replayed,) = agentflow("replay", workflow_id, "--workflows", MODULE, "--json").document["histories"]
    assert (replayed["workflow_id"], replayed["result"]) == (workflow_id, "ok")


def test_a_run_that_is_not_over_replays_as_far_as_it_got(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    assert agentflow("replay", workflow_id, "--workflows", MODULE).exit_code == 0


def test_a_saved_history_replays_from_its_file(agentflow: CommandLine, history: Path) -> None:
    replayed = agentflow("replay", "--file", str(history), "--workflows", f"{MODULE}:Cashier", "--json")
    assert replayed.exit_code == 0
    assert replayed.document["histories"][0]["workflow_id"].startswith("case-")


def test_changed_code_diverges_and_exits_1(agentflow: CommandLine, history: Path) -> None:
    diverged = agentflow("replay", "--file", str(history), "--workflows", CHANGED, "--json")
    assert diverged.exit_code == 1
    (replayed,) = diverged.document["histories"]
    assert replayed["result"] == "diverged"
    assert replayed["divergence"]["message"]
    assert "Failure {" not in replayed["divergence"]["message"]


def test_before_a_deploy_each_run_at_work_is_told_of_that_lacks_something_then(
    agentflow: CommandLine,
) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    eventually(lambda: workflow_id in agentflow("replay", "--running", "--workflows", MODULE).stdout)
    lacking = agentflow("replay", "--running", "--workflows", LACKING, "--json")
    assert lacking.exit_code == 1
    (found,) = [one for one in lacking.document["histories"] if one["workflow_id"] == workflow_id]
    assert found["result"] == "lacking"
    assert found["lacks"] == [
        "the code of rule large_wires is gone: a decision that asks it ends the run as denied",
        "the class no longer has the tool wire: if no worker has it, a person is asked",
    ]


def test_before_a_deploy_runs_at_work_of_agents_that_are_gone_are_counted(agentflow: CommandLine) -> None:
    agentflow.waiting("pay 1.00")

    def others() -> dict[str, int]:
        found = agentflow("replay", "--running", "--workflows", OTHER, "--json")
        assert found.exit_code == 0
        counted: dict[str, int] = found.document["others_at_work"]
        return counted

    eventually(lambda: others().get("Cashier", 0) > 0)
    told = agentflow("replay", "--running", "--workflows", OTHER)
    assert "runs at work of Cashier, which is none of these agents" in told.stderr


@pytest.mark.parametrize(
    "waits", [{"start_delay": timedelta(days=1)}, {"cron_schedule": "0 0 1 1 *"}], ids=["delayed", "cron"]
)
def test_a_run_that_waits_for_its_start_holds_nothing_up(agentflow: CommandLine, waits: Any) -> None:
    async def start() -> str:
        client = await Client.connect(agentflow.address)
        task = {"input": "answer 1.00", "requested_by": "rita"}
        name = f"waits-{uuid4()}"
        await client.start_workflow("Cashier", task, id=name, task_queue="nobody", **waits)
        return name

    workflow_id = asyncio.run(start())
    replayed = agentflow.process("replay", workflow_id, "--workflows", MODULE, "--json")
    assert [one["result"] for one in replayed.document["histories"]] == ["ok"]


def test_a_run_that_is_over_lacks_nothing(agentflow: CommandLine, history: Path) -> None:
    replayed = agentflow("replay", "--file", str(history), "--workflows", LACKING, "--json")
    assert [one["result"] for one in replayed.document["histories"]] == ["ok"]


def test_each_history_of_a_directory_is_told_of(
    agentflow: CommandLine, history: Path, tmp_path: Path
) -> None:
    for name in ("a.json", "b.json"):
        shutil.copy(history, tmp_path / name)
    replayed = agentflow("replay", "--dir", str(tmp_path), "--workflows", MODULE, "--json").document[
        "histories"
    ]
    assert [Path(one["source"]).name for one in replayed] == ["a.json", "b.json"]


def test_a_run_of_an_agent_that_is_not_there_is_no_success(
    agentflow: CommandLine, history: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text(history.read_text().replace('"Cashier"', '"Gone"'))
    failed = agentflow("replay", "--file", str(other), "--workflows", MODULE, "--json")
    assert failed.exit_code == 1
    (replayed,) = failed.document["histories"]
    assert replayed["result"] == "unknown_type"
    assert "known: Cashier" in replayed["divergence"]["message"]


def test_the_project_says_where_its_agents_are(agentflow: CommandLine, history: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.agentflow]\nworkflows = ["{MODULE}"]\n')
    replayed = agentflow.process("replay", "--file", str(history), cwd=tmp_path)
    assert replayed.exit_code == 0, replayed.stderr


def test_modules_of_the_current_directory_are_found(
    agentflow: CommandLine, history: Path, tmp_path: Path
) -> None:
    source = Path(__file__).with_name("agents.py")
    (tmp_path / "my_agents.py").write_text("print('hello from an import')\n" + source.read_text())
    replayed = agentflow.process(
        "replay", "--file", str(history), "--workflows", "my_agents", "--json", cwd=tmp_path
    )
    assert replayed.exit_code == 0, replayed.stderr
    assert replayed.document["ok"] is True


def test_a_divergence_prints_one_document_and_no_log(agentflow: CommandLine, history: Path) -> None:
    diverged = agentflow.process("replay", "--file", str(history), "--workflows", CHANGED, "--json")
    assert diverged.exit_code == 1
    assert diverged.document["ok"] is False
    assert "WARN" not in diverged.stderr
    assert "Traceback" not in diverged.stderr


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("no.such.module", "there is no module no.such.module"),
        ("tests.cli.broken_agents", "RuntimeError: the shop is closed"),
        ("tests.cli.tools", "has no AgentWorkflow subclass"),
        (f"{MODULE}:Receipt", "is no class with @workflow.defn"),
        (f"{MODULE}:Missing", "has no Missing"),
    ],
)
def test_a_module_that_can_not_be_used_is_told_with_the_reason(
    agentflow: CommandLine, history: Path, module: str, why: str
) -> None:
    refused = agentflow("replay", "--file", str(history), "--workflows", module, "--json")
    assert refused.exit_code == 2
    assert why in refused.error


def test_two_agents_of_one_name_are_refused(agentflow: CommandLine, history: Path) -> None:
    refused = agentflow(
        "replay", "--file", str(history), "--workflows", MODULE, "--workflows", CHANGED, "--json"
    )
    assert refused.exit_code == 2
    assert "both have a Cashier" in refused.error


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"events": []}', "not json", '{"events": [{}]}'])
def test_a_file_that_is_no_history_is_named(agentflow: CommandLine, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    refused = agentflow("replay", "--file", str(path), "--workflows", MODULE, "--json")
    assert refused.exit_code == 2
    assert "bad.json is no" in refused.error


def test_an_empty_directory_is_no_success(agentflow: CommandLine, tmp_path: Path) -> None:
    assert agentflow("replay", "--dir", str(tmp_path), "--workflows", MODULE).exit_code == 2


def test_nothing_to_replay_is_a_usage_error(agentflow: CommandLine) -> None:
    assert agentflow("replay", "--workflows", MODULE).exit_code == 2


def test_an_unknown_run_is_not_found(agentflow: CommandLine) -> None:
    assert agentflow("replay", "no-such-run", "--workflows", MODULE).exit_code == 4


def test_a_run_that_failed_replays_too(agentflow: CommandLine) -> None:
    failed = agentflow(
        "run",
        "Cashier",
        "--task-queue",
        "cashier",
        "--requested-by",
        "joe",
        "--input",
        "7",
        "--id",
        "malformed",
    )
    assert failed.exit_code == 0
    eventually(lambda: agentflow("status", "malformed", "--json").document["failure"])
    assert agentflow("replay", "malformed", "--workflows", MODULE).exit_code == 0
