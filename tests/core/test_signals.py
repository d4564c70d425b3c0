import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentflow.contracts.approval import ApprovalDecision
from agentflow.contracts.escalation import Resolution
from agentflow.core.approval import Refusal
from agentflow.core.signals import MAX_SIGNAL_BYTES, parse_decision, parse_resolution
from tests.core.strategies import json_values

DECISION = {"approval_id": "approval-1", "by": "cy"}
RESOLUTION = {"action": "guide", "by": "cy", "text": "go on"}


def encoded(value: Any) -> tuple[bytes]:
    return (json.dumps(value).encode(),)


def test_a_decision_is_read() -> None:
    assert parse_decision(encoded(DECISION)) == ApprovalDecision.model_validate(DECISION)


def test_a_resolution_is_read() -> None:
    assert parse_resolution(encoded(RESOLUTION)) == Resolution.model_validate(RESOLUTION)


nearly = st.fixed_dictionaries(
    {},
    optional={
        "approval_id": json_values,
        "by": json_values,
        "arguments_hash": json_values,
        "roles": json_values,
        "verdict": json_values,
        "action": json_values | st.sampled_from(["guide", "answer", "abort"]),
        "answer": json_values,
        "surprise": json_values,
    },
)
payloads = (
    st.binary(max_size=200)
    | st.text('{}[]",:\\u0dNaInfity0123456789eE-. ').map(str.encode)
    | (nearly | json_values).map(lambda value: json.dumps(value).encode())
)


@given(st.lists(payloads, max_size=3).map(tuple))
@example((b"[" * 60_000,))
@example((b'{"by":"\\ud800","approval_id":"x"}',))
@example((b'{"by":"\xff\xfe","approval_id":"x"}',))
def test_whatever_is_sent_is_understood_or_refused(sent: tuple[bytes, ...]) -> None:
    assert isinstance(parse_decision(sent), ApprovalDecision | Refusal)
    assert isinstance(parse_resolution(sent), Resolution | Refusal)


@pytest.mark.parametrize("sent", [(), encoded(DECISION) * 2])
def test_not_exactly_one_payload_is_refused(sent: tuple[bytes, ...]) -> None:
    refused = parse_decision(sent)
    assert isinstance(refused, Refusal)
    assert f"{len(sent)} payloads" in refused.reason


def test_a_payload_beyond_the_limit_is_refused_unread() -> None:
    padded = b" " * (MAX_SIGNAL_BYTES - len(encoded(DECISION)[0])) + encoded(DECISION)[0]
    assert isinstance(parse_decision((padded,)), ApprovalDecision)
    refused = parse_decision((b" " + padded,))
    assert isinstance(refused, Refusal)
    assert f"the limit is {MAX_SIGNAL_BYTES}" in refused.reason


@pytest.mark.parametrize(
    "changed",
    [
        {"roles": ["x"] * 21},
        {"by": ""},
        {"by": "x" * 201},
        {"surprise": 1},
        {"verdict": "maybe"},
        {"approval_id": None},
    ],
)
def test_a_malformed_decision_is_refused_by_field(changed: dict[str, Any]) -> None:
    refused = parse_decision(encoded({**DECISION, **changed}))
    assert isinstance(refused, Refusal)
    assert refused.reason.startswith(f"malformed: {next(iter(changed))}: ")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_json_does_not_have_is_refused(number: bytes) -> None:
    sent = b'{"action":"answer","by":"cy","answer":{"score":' + number + b"}}"
    assert isinstance(parse_resolution((sent,)), Refusal)
