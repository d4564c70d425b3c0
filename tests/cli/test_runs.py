"""``agentflow runs`` and ``agentflow status``: looking at runs."""

from decimal import Decimal
from uuid import uuid4

import pytest

from tests.cli.harness import CommandLine, eventually


def test_runs_of_a_tenant_are_listed_with_what_they_cost(agentflow: CommandLine) -> None:
    tenant = f"tenant-{uuid4()}"
    workflow_id = agentflow.start("answer 1.00", "--tenant", tenant)
    outcome = agentflow.outcome(workflow_id)
    listed = eventually(
        lambda: agentflow("runs", "--tenant", tenant, "--status", "completed", "--json").document["runs"]
    )
    (run,) = listed
    assert (run["workflow_id"], run["agent"], run["tenant"]) == (workflow_id, "Cashier", tenant)
    assert run["release"] == outcome["release"]
    assert isinstance(run["cost_usd"], str)
    assert Decimal(run["cost_usd"]) == Decimal(outcome["cost_usd"])


def test_a_run_that_waits_shows_its_state_and_pending_approvals(agentflow: CommandLine) -> None:
    tenant = f"tenant-{uuid4()}"
    agentflow.waiting("pay 1.00", "--tenant", tenant)

    def pending() -> list[int]:
        found = agentflow("runs", "--tenant", tenant, "--status", "waiting_for_approval", "--json")
        return [run["pending_approvals"] for run in found.document["runs"]]

    assert eventually(pending) == [1]


def test_a_filter_leaves_out_what_does_not_fit(agentflow: CommandLine) -> None:
    tenant = f"tenant-{uuid4()}"
    agentflow.waiting("pay 1.00", "--tenant", tenant)
    eventually(lambda: agentflow("runs", "--tenant", tenant, "--json").document["runs"])
    assert agentflow("runs", "--tenant", tenant, "--status", "denied", "--json").document == {"runs": []}
    assert agentflow("runs", "--tenant", tenant, "--agent", "Other", "--json").document == {"runs": []}


def test_the_limit_is_kept_and_said(agentflow: CommandLine) -> None:
    tenant = f"tenant-{uuid4()}"
    for _ in range(3):
        agentflow.start("answer 1.00", "--tenant", tenant)
    eventually(lambda: len(agentflow("runs", "--tenant", tenant, "--json").document["runs"]) == 3)
    limited = agentflow("runs", "--tenant", tenant, "--limit", "2", "--json")
    assert len(limited.document["runs"]) == 2
    assert "--limit is 2" in limited.stderr


@pytest.mark.parametrize(
    "hostile",
    ["x' OR AgentName IS NOT NULL OR AgentTenant = 'x", "x\\", "x\\' OR '1' = '1", "it's", '"', "%"],
)
def test_a_value_is_never_a_part_of_the_query(agentflow: CommandLine, hostile: str) -> None:
    agentflow.start("answer 1.00")
    eventually(lambda: agentflow("runs", "--json").document["runs"])
    assert agentflow("runs", "--tenant", hostile, "--json").document == {"runs": []}
    assert agentflow("runs", "--agent", hostile, "--json").document == {"runs": []}


def test_a_query_of_ones_own_narrows_the_list(agentflow: CommandLine) -> None:
    tenant = f"tenant-{uuid4()}"
    workflow_id = agentflow.start("answer 1.00", "--tenant", tenant)
    query = f"WorkflowId = '{workflow_id}' OR WorkflowId = 'nothing'"
    eventually(lambda: agentflow("runs", "--query", query, "--json").document["runs"])
    assert agentflow("runs", "--query", query, "--tenant", "another", "--json").document == {"runs": []}


def test_a_malformed_query_is_a_usage_error_in_the_servers_words(agentflow: CommandLine) -> None:
    refused = agentflow("runs", "--query", "foo bar (", "--json")
    assert refused.exit_code == 2
    assert "malformed SQL query" in refused.error


def test_a_status_that_does_not_exist_is_a_usage_error(agentflow: CommandLine) -> None:
    assert agentflow("runs", "--status", "sleeping").exit_code == 2


def test_an_open_run_shows_its_state_what_it_spent_and_what_to_do(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    shown = agentflow("status", workflow_id)
    assert shown.exit_code == 0
    assert "waiting_for_approval" in shown.stdout
    assert "budget $1.00" in shown.stdout
    assert f"agentflow approvals {workflow_id}" in shown.stdout


def test_an_escalated_run_shows_why_and_how_to_resolve_it(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    shown = agentflow("status", workflow_id).stdout
    assert "the model's answers can't be used" in shown
    assert f"agentflow resolve {workflow_id} guide|answer|abort" in shown


def test_a_closed_run_shows_its_outcome(agentflow: CommandLine) -> None:
    workflow_id = agentflow.start("answer 7.00")
    agentflow.outcome(workflow_id)
    shown = agentflow("status", workflow_id).stdout
    assert "completed" in shown
    assert '"amount": "7.00"' in shown


def test_decisions_are_shown_when_they_are_asked_for(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    agentflow("approve", "--yes", workflow_id, "approval-1", "--by", "joe")
    log = agentflow("status", workflow_id, "--decisions", "--json").document["decisions"]
    assert [(record["subject"], record["accepted"], record["by"]) for record in log] == [
        ("tool_call", False, None),
        ("approval", False, "joe"),
    ]


def test_an_unknown_run_is_not_found(agentflow: CommandLine) -> None:
    unknown = agentflow("status", "no-such-run", "--json")
    assert unknown.exit_code == 4
    assert unknown.document["error"]["code"] == "not_found"
    assert "no-such-run" in unknown.error


def test_a_run_without_a_worker_shows_what_the_server_knows(agentflow: CommandLine) -> None:
    workflow_id = agentflow.start("pay 1.00", task_queue="nobody-listens")
    shown = agentflow("status", workflow_id, "--json")
    assert shown.exit_code == 3
    assert shown.document["execution_status"] == "running"
    assert f"no worker answered for {workflow_id}" in shown.document["problem"]
