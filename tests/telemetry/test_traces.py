"""A run is one trace: what it did, why, how long it waited. Replayed at every step, and yet each span once."""

import json
from collections import Counter
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.telemetry import semconv
from agentflow.telemetry.content import CAPTURE
from tests.forked import printed
from tests.telemetry import traced

TEXT = "a secret that no span may hold"

Span = dict[str, Any]


def spans_of(temporal: WorkflowEnvironment, way: str, **env: str) -> list[Span]:
    address = temporal.client.service_client.config.target_host
    lines = printed(traced.run, address, way, **env).splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    # A workflow task that the server wants done again (something came while it was done) sends its spans again,
    # under the same ids: a backend keeps one.
    return list({span["id"]: span for span in found}.values())


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span["name"] == name]


def told(span: Span, *keys: str) -> tuple[Any, ...]:
    return tuple(span["attributes"].get(key) for key in keys)


@pytest.fixture(scope="module")
def approved(temporal: WorkflowEnvironment) -> list[Span]:
    return spans_of(temporal, "approved")


def test_a_run_is_one_trace_under_whoever_started_it(approved: list[Span]) -> None:
    assert len({span["trace"] for span in approved}) == 1
    (caller,) = named(approved, "caller")
    (agent,) = named(approved, "invoke_agent Banker")
    assert agent["parent"] == caller["id"]
    children = [span for span in approved if span not in (caller, agent)]
    assert {span["parent"] for span in children} == {agent["id"]}


def test_each_span_is_there_once_and_attempts_are_attempts(approved: list[Span]) -> None:
    assert Counter(span["name"] for span in approved) == {
        "caller": 1,
        "invoke_agent Banker": 1,
        "chat model": 3,
        # The rules are asked of a read, of a write, and again when people have agreed.
        "agentflow.decide balance": 1,
        "agentflow.decide pay": 2,
        "agentflow.await_approval pay": 1,
        "execute_tool balance": 2,
        "execute_tool pay": 1,
    }
    looks = named(approved, "execute_tool balance")
    assert sorted(told(span, semconv.ATTEMPT) for span in looks) == [(1,), (2,)]


def test_the_run_says_what_it_was_and_what_it_came_to(approved: list[Span]) -> None:
    (agent,) = named(approved, "invoke_agent Banker")
    keys = (semconv.OPERATION_NAME, semconv.AGENT_NAME, semconv.AGENT_VERSION, semconv.OUTCOME)
    assert told(agent, *keys) == ("invoke_agent", "Banker", "1", "completed")
    assert agent["attributes"][semconv.RULES].startswith("Banker@1+")
    assert agent["attributes"][semconv.COST_USD] > 0
    (chat, *_) = named(approved, "chat model")
    assert told(chat, semconv.PROVIDER_NAME, semconv.REQUEST_MODEL) == ("scripted", "model")
    assert chat["attributes"][semconv.CONVERSATION_ID] == agent["attributes"][semconv.CONVERSATION_ID]


def test_a_decision_and_a_wait_say_by_which_rule_and_how_they_ended(approved: list[Span]) -> None:
    asked, allowed = named(approved, "agentflow.decide pay")
    assert told(asked, semconv.DECISION_VERDICT, semconv.DECISION_RULE) == ("ask", "large, huge")
    assert told(allowed, semconv.DECISION_VERDICT) == ("allow",)
    (wait,) = named(approved, "agentflow.await_approval pay")
    assert told(wait, semconv.APPROVAL_ID, semconv.APPROVAL_STATUS) == ("approval-1", "approved")
    (agent,) = named(approved, "invoke_agent Banker")
    assert 0 < wait["seconds"] < agent["seconds"]


def test_a_failed_attempt_is_an_error_without_its_text(approved: list[Span]) -> None:
    failed = [span for span in named(approved, "execute_tool balance") if span["status"] == "ERROR"]
    assert [told(span, semconv.ERROR_TYPE, semconv.ATTEMPT) for span in failed] == [("RuntimeError", 1)]
    assert not [span["name"] for span in approved if TEXT in span["whole"]]


def test_an_escalation_is_a_wait_that_says_how_it_ended(temporal: WorkflowEnvironment) -> None:
    spans = spans_of(temporal, "escalated")
    (wait,) = named(spans, semconv.AWAIT_PERSON)
    assert told(wait, semconv.ESCALATION_ID, semconv.ESCALATION_ACTION) == ("escalation-1", "guide")
    assert not [span["name"] for span in spans if TEXT in span["whole"]]


def test_what_a_rule_denied_is_in_the_trace_although_nothing_ran(temporal: WorkflowEnvironment) -> None:
    spans = spans_of(temporal, "denied")
    (decision,) = named(spans, "agentflow.decide pay")
    assert told(decision, semconv.DECISION_VERDICT, semconv.DECISION_RULE) == ("deny", "frozen")
    assert named(spans, "execute_tool pay") == []


def test_a_run_that_continues_as_new_stays_one_trace(temporal: WorkflowEnvironment) -> None:
    spans = spans_of(temporal, "long")
    agents = named(spans, "invoke_agent LongBanker")
    assert len(agents) > 1
    assert len({span["trace"] for span in spans}) == 1
    executions = sorted(told(span, semconv.EXECUTION)[0] for span in agents)
    assert executions == list(range(1, len(agents) + 1))
    assert len(named(spans, "chat model")) == 13
    assert len(named(spans, "execute_tool balance")) == 12


def test_a_run_that_another_started_is_in_its_trace(temporal: WorkflowEnvironment) -> None:
    spans = spans_of(temporal, "delegated")
    (child,) = named(spans, "invoke_agent Child")
    assert len({span["trace"] for span in spans}) == 1
    (chat,) = named(spans, "chat model")
    assert chat["parent"] == child["id"]


def test_with_a_provider_that_can_not_record_workflow_code_calls_are_still_traced(
    temporal: WorkflowEnvironment,
) -> None:
    spans = spans_of(temporal, "plain-provider")
    assert named(spans, "invoke_agent Banker") == []
    assert len(named(spans, "chat model")) == 2


@pytest.fixture(scope="module")
def contents(temporal: WorkflowEnvironment) -> list[Span]:
    """Spans of a run of which everything is told."""
    return spans_of(temporal, "approved", **{CAPTURE: "span_only"})


def test_contents_are_in_spans_only_if_the_environment_says_so(
    approved: list[Span], contents: list[Span]
) -> None:
    keys = (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.TOOL_CALL_ARGUMENTS)
    assert not [span for span in approved for key in keys if key in span["attributes"]]
    (first, *_) = sorted(
        named(contents, "chat model"), key=lambda span: span["attributes"][semconv.INPUT_MESSAGES]
    )
    asked = json.loads(first["attributes"][semconv.INPUT_MESSAGES])
    assert asked[0]["role"] == "user"
    assert TEXT in asked[0]["parts"][0]["content"]
    (paid,) = named(contents, "execute_tool pay")
    assert json.loads(paid["attributes"][semconv.TOOL_CALL_ARGUMENTS])["account"] == "alice"
    assert "alice" in paid["attributes"][semconv.TOOL_CALL_RESULT]


def test_contents_are_as_the_conventions_have_them(contents: list[Span]) -> None:
    answers = [
        json.loads(span["attributes"][semconv.OUTPUT_MESSAGES]) for span in named(contents, "chat model")
    ]
    calls = [part for (message,) in answers for part in message["parts"] if part["type"] == "tool_call"]
    assert {call["name"] for call in calls} == {"balance", "pay"}
    assert all(message["role"] == "assistant" and message["finish_reason"] for (message,) in answers)
    told = [
        m
        for span in named(contents, "chat model")
        for m in json.loads(span["attributes"][semconv.INPUT_MESSAGES])
    ]
    assert {message["role"] for message in told} == {"user", "assistant", "tool"}


def test_a_decision_says_where_the_arguments_are_from(approved: list[Span]) -> None:
    labels = [span["attributes"][semconv.LABELS] for span in named(approved, "agentflow.decide pay")]
    assert labels[0] == ["account=tool:balance", "amount=model"]


def test_a_run_says_whose_it_is_and_a_call_what_it_was_told(approved: list[Span]) -> None:
    (agent,) = named(approved, "invoke_agent Banker")
    assert told(agent, semconv.TENANT, semconv.CUSTOMER_TIER, semconv.TIER) == ("default", "standard", "dev")
    prompts = {span["attributes"][semconv.PROMPT_HASH] for span in named(approved, "chat model")}
    assert len(prompts) == 1
    assert len(prompts.pop()) == 64
