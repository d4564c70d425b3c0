"""Metrics of runs: counted once however often they are replayed, beside those of Temporal's own SDK."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentTask
from agentflow.telemetry.metrics import MAX_LABEL, OTHER, BoundedValues
from tests.forked import printed
from tests.telemetry import measured as measured_worker

ROOT = Path(__file__).parents[2]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def measured(temporal: WorkflowEnvironment, way: str) -> Samples:
    address = temporal.client.service_client.config.target_host
    text = printed(measured_worker.run, address, way)
    return {
        (
            sample.name,
            frozenset((k, v) for k, v in sample.labels.items() if not k.startswith("otel_")),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told(samples: Samples, name: str, **labels: str) -> float:
    """The sum of what was measured under a name with these labels."""
    found = [v for (n, have), v in samples.items() if n == name and set(labels.items()) <= have]
    assert found, f"{name} {labels}: there are {sorted({n for n, _ in samples})}"
    return sum(found)


@pytest.fixture(scope="module")
def approved(temporal: WorkflowEnvironment) -> Samples:
    return measured(temporal, "approved")


def test_a_run_is_counted_once_though_it_is_replayed(approved: Samples) -> None:
    run = {"gen_ai_agent_name": "Banker", "agentflow_outcome": "completed"}
    assert told(approved, "agentflow_run_outcomes_total", **run) == 1
    assert told(approved, "agentflow_run_cost_usd_sum", **run) > 0
    assert told(approved, "agentflow_run_duration_seconds_count", **run) == 1


def test_attempts_of_models_and_tools_are_timed(approved: Samples) -> None:
    name = "gen_ai_client_operation_duration_seconds_count"
    assert told(approved, name, gen_ai_operation_name="chat", gen_ai_request_model="model") == 3
    assert told(approved, name, gen_ai_operation_name="execute_tool", gen_ai_tool_name="balance") == 2
    failed = {"gen_ai_tool_name": "balance", "error_type": "RuntimeError"}
    assert told(approved, name, **failed) == 1


def test_tokens_are_counted_in_and_out(approved: Samples) -> None:
    name = "gen_ai_client_token_usage_sum"
    assert told(approved, name, gen_ai_token_type="input") > 0
    assert told(approved, name, gen_ai_token_type="output") > 0
    assert told(approved, "agentflow_tokens_total", agentflow_token_kind="fresh") > 0


def test_decisions_and_waits_for_people_are_timed(approved: Samples) -> None:
    decisions = {"gen_ai_tool_name": "pay", "agentflow_decision_verdict": "ask"}
    # Once for the call, and once more when people had agreed.
    assert told(approved, "agentflow_decision_duration_seconds_count", **decisions) == 2
    decided = {"gen_ai_tool_name": "pay", "agentflow_approval_status": "approved"}
    assert told(approved, "agentflow_approval_duration_seconds_count", **decided) == 1


def test_writes_in_doubt_are_counted_from_none_on(approved: Samples) -> None:
    # An alert on an increase sees nothing of a count that begins with one.
    assert told(approved, "agentflow_ledger_unknowns_total", gen_ai_tool_name="pay") == 0


def test_metrics_of_temporals_sdk_come_the_same_way(approved: Samples) -> None:
    assert told(approved, "temporal_workflow_completed_total") == 1
    assert told(approved, "temporal_activity_execution_latency_milliseconds_count") >= 5


def test_an_escalation_is_counted_and_timed(temporal: WorkflowEnvironment) -> None:
    samples = measured(temporal, "escalated")
    assert told(samples, "agentflow_escalations_total", gen_ai_agent_name="Banker") == 1
    guided = {"agentflow_escalation_action": "guide"}
    assert told(samples, "agentflow_escalation_duration_seconds_count", **guided) == 1


def test_runs_that_wait_for_people_are_counted_with_their_age(temporal: WorkflowEnvironment) -> None:
    samples = measured(temporal, "waiting")
    asked = {"gen_ai_agent_name": "Banker", "agentflow_run_state": "approval"}
    assert told(samples, "agentflow_runs_waiting", **asked) >= 1
    assert told(samples, "agentflow_runs_waiting_age_seconds", **asked) > 0


def test_a_name_that_the_model_made_up_is_no_label(temporal: WorkflowEnvironment) -> None:
    samples = measured(temporal, "escalated")
    assert not [labels for _, labels in samples if "no_such_tool" in dict(labels).values()]


def test_values_that_outsiders_make_up_are_bounded() -> None:
    values = BoundedValues(most=3)
    assert [values.bounded(str(number)) for number in range(5)] == ["0", "1", "2", OTHER, OTHER]
    assert values.bounded("1") == "1"


def test_a_value_with_control_characters_or_without_end_is_made_a_label() -> None:
    assert BoundedValues().bounded("a\nb\x00\u202ec") == "a\\nb\\u0000\\u202ec"
    assert len(BoundedValues().bounded("x" * 10_000_000)) == MAX_LABEL


@pytest.mark.parametrize("tenant", ["a\nb", "a\x1b[2J", "\u202eacme", "x" * 101, ""])
def test_a_tenant_with_control_characters_or_without_end_starts_no_run(tenant: str) -> None:
    # The run ends as denied: tests/workflow/test_bad_input.py.
    assert AgentTask(input="x", requested_by="rita", tenant=tenant).name_fault
