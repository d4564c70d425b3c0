"""One JSON text must not say two things: a key that is there twice is refused, wherever it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.wire import Json
from agentflow.core.approval import Refusal
from agentflow.core.jwks import keys_of_set
from agentflow.core.signals import parse_decision, parse_freeze, parse_resolution, parse_revocation
from agentflow.core.strict_json import strict_json
from agentflow.errors import ConfigurationError
from tests.core.strategies import json_values

PAYLOADS: list[tuple[Any, dict[str, Json]]] = [
    (parse_decision, {"approval_id": "approval-1", "by": "cy", "verdict": "approve", "roles": ["x"]}),
    (parse_resolution, {"action": "answer", "by": "cy", "answer": {"amount": 1}}),
    (parse_freeze, {"scope": "fleet", "by": "cy", "reason": "odd"}),
    (parse_revocation, {"kid": "k", "by": "cy"}),
]


@pytest.mark.parametrize(("parse", "payload"), PAYLOADS)
def test_a_signal_that_says_a_thing_twice_is_refused(parse: Any, payload: dict[str, Json]) -> None:
    text = json.dumps(payload)
    assert not isinstance(parse((text.encode(),)), Refusal)
    for key, value in payload.items():
        for again in (key, "".join(f"\\u{ord(letter):04x}" for letter in key)):
            doubled = f'{text[:-1]}, "{again}": {json.dumps(value)}}}'.encode()
            refused = parse((doubled,))
            assert isinstance(refused, Refusal), doubled
            assert f"{key!r} is there twice" in refused.reason


def test_a_key_that_is_twice_in_an_answer_is_refused_too() -> None:
    sent = b'{"action": "answer", "by": "cy", "answer": {"lines": [{"amount": 1, "amount": 2}]}}'
    assert isinstance(parse_resolution((sent,)), Refusal)


def test_a_list_of_keys_that_says_a_thing_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'keys' is there twice"):
        keys_of_set(b'{"keys": [], "keys": []}')


@given(json_values)
def test_what_is_in_json_once_comes_back(value: Json) -> None:
    assert strict_json(json.dumps(value).encode()) == value


@given(
    st.data(), st.dictionaries(st.text(max_size=5), st.integers(), min_size=1, max_size=4), st.integers(0, 60)
)
def test_a_key_that_is_twice_is_found_at_any_depth(
    data: st.DataObject, members: dict[str, int], depth: int
) -> None:
    key = data.draw(st.sampled_from(sorted(members)))
    text = f"{json.dumps(members)[:-1]}, {json.dumps(key)}: 0}}"
    for _ in range(depth):
        text = f'{{"a": [{text}]}}' if data.draw(st.booleans()) else f"[{text}]"
    if text.count("[") + text.count("{") > 95:
        return
    with pytest.raises(ValueError, match="twice"):
        strict_json(text.encode())


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b'{"a": 1e999}', b"\xff", b"[" * 500, b'"\xed\xa0\x80"'])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        strict_json(text)
