import asyncio
import json
import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AnyUrl,
    Base64Str,
    ByteSize,
    Field,
    HttpUrl,
    ImportString,
    IPvAnyAddress,
    Json,
    JsonValue,
    SecretStr,
    TypeAdapter,
)

from agentflow.activity.canonical_calls import CanonicalCalls
from agentflow.activity.context import ToolContext
from agentflow.activity.tool import Tool
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.model import ToolOffer
from agentflow.contracts.wire import ToolCallId, canonical_json, sha256_of
from agentflow.core import canonical_calls
from agentflow.core.canonical_arguments import NotCanonicalError
from agentflow.errors import ToolDefinitionError
from tests.activity import argument_kinds as kinds
from tests.activity.argument_kinds import tool_of
from tests.core.strategies import json_values


def canonical_call(call: ToolCall, tool: Any, **options: Any) -> ToolCall:
    return canonical_calls.canonical_call(call, tool, tool.contract.input_schema, **options)


CONTEXT = ToolContext(call_id=ToolCallId("call_1"), idempotency_key=sha256_of("call_1"))
REFUSED = object()
ID = "12345678-1234-5678-1234-567812345678"

CASES: list[tuple[Any, Any, Any]] = [
    (int, 1, 1),
    (int, 1.0, 1),
    (int, -0.0, 0),
    (int, 10**30, 10**30),
    (int, 2**53 + 1, 2**53 + 1),
    (int, "1", REFUSED),
    (int, "1_000", REFUSED),
    (int, "1e9", REFUSED),
    (int, "٣", REFUSED),
    (int, " 5 ", REFUSED),
    (int, True, REFUSED),
    (int, 1.5, REFUSED),
    (float, 1, 1.0),
    (float, "1.5", REFUSED),
    (float, True, REFUSED),
    (float, 10**400, REFUSED),
    (float | None, "nan", REFUSED),
    (bool, True, True),
    (bool, 1, REFUSED),
    (bool, "true", REFUSED),
    (str, "é", "é"),
    (str, "\ud800", REFUSED),
    (str, 1, REFUSED),
    (kinds.Mail, "  EVE@Evil.example ", "eve@evil.example"),
    (Decimal, "1_000", "1000"),
    (Decimal, "1e9", "1000000000"),
    (Decimal, "٣", "3"),
    (Decimal, " 5 ", "5"),
    (Decimal, 5, "5"),
    (Decimal, 1.1, "1.1"),
    (Decimal, "1.50", "1.50"),
    (Decimal, "1E-7", "0.0000001"),
    (Decimal, "NaN", REFUSED),
    (Decimal, "Infinity", REFUSED),
    (Decimal, True, REFUSED),
    (datetime, "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z"),
    (datetime, "2026-01-01 10:00", "2026-01-01T10:00:00"),
    (datetime, 1767225600, REFUSED),
    (date, "2026-01-01T00:00:00", "2026-01-01"),
    (date, 5, REFUSED),
    (time, "10:00", "10:00:00"),
    (timedelta, "00:00:05", "PT5S"),
    (timedelta, 5, REFUSED),
    (UUID, ID.replace("-", ""), ID),
    (UUID, f"urn:uuid:{ID}", ID),
    (kinds.Colour, "red", "red"),
    (kinds.Colour, "RED", REFUSED),
    (Literal["a"], "A", REFUSED),
    (Literal[1], True, REFUSED),
    (Literal[1], 1.0, 1),
    (bytes, "é", "é"),
    (Path, "./a//b", "a/b"),
    (SecretStr, "s3cret", "s3cret"),
    (list[SecretStr], ["s3cret"], ["s3cret"]),
    (AnyUrl, "https://A.example", "https://a.example/"),
    (AnyUrl, "https://bücher.example/x", "https://xn--bcher-kva.example/x"),
    (HttpUrl, "HTTP://a.example:80/x/../b", "http://a.example/b"),
    (IPv4Address, "127.1", REFUSED),
    (IPv4Address, 2130706433, REFUSED),
    (IPvAnyAddress, "0:0:0:0:0:0:0:1", "::1"),
    (ByteSize, "1MB", 1_000_000),
    (Base64Str, "aGk=", "aGk="),
    (kinds.Payee, {"to": "ann"}, {"to": "ann", "note": ""}),
    (kinds.Payee, {"to": "ann", "pay_to": "eve"}, REFUSED),
    (kinds.Payee | None, {"to": "ann", "pay_to": "eve"}, REFUSED),
    (list[kinds.Payee], [{"to": "ann", "pay_to": "eve"}], REFUSED),
    (dict[str, kinds.Payee], {"a": {"to": "ann", "pay_to": "eve"}}, REFUSED),
    (kinds.Aliased, {"payTo": "ann"}, {"payTo": "ann"}),
    (kinds.Aliased, {"to": "ann"}, REFUSED),
    (kinds.Line, {"to": "ann"}, {"to": "ann", "count": 1}),
    (kinds.Line, {"to": "ann", "seat_upgrade": "window, +$0"}, REFUSED),
    (kinds.Seat, {"row": 1}, {"row": 1}),
    (kinds.Seat, {"row": 1, "seat_upgrade": "window, +$0"}, REFUSED),
    (kinds.Pair, [1], [1, "x"]),
    (kinds.Pair, {"left": 1}, REFUSED),
    (kinds.Numbers, [1, 2.0], [1, 2]),
    (kinds.Numbers, ["1"], REFUSED),
    (kinds.Pet, {"kind": "cat"}, {"kind": "cat", "lives": 9}),
    (kinds.Pet, {"kind": "dog", "lives": 9}, REFUSED),
    (kinds.Trip, {"payee": {"to": "a"}, "seats": [{"row": 1, "up": 1}]}, REFUSED),
    (kinds.Trip, {"payee": {"to": "a"}, "more": {"x": {"to": "a", "up": 1}}}, REFUSED),
    (kinds.Open, {"to": "a", "more": 1}, {"to": "a", "more": 1}),
    (kinds.Strict, {"day": "2026-01-01", "marks": [1]}, {"day": "2026-01-01", "marks": [1]}),
    (kinds.Sum, {"part": 1}, {"part": 1}),
    (kinds.Sum, {"part": 1, "total": 5}, REFUSED),
    (set[kinds.Mail], ["B", "b", "a"], ["a", "b"]),
    (set[str], ["a", "a"], REFUSED),
    (frozenset[int], [2, 1], [1, 2]),
    (tuple[int, str], [1], REFUSED),
    (dict[str, int], {"a": "1"}, REFUSED),
    (dict[int, str], {"01": "b"}, {"1": "b"}),
    (dict[int, str], {"1": "a", "01": "b"}, REFUSED),
    (dict, {"a": {"b": [1]}}, {"a": {"b": [1]}}),
    (JsonValue, {"a": 1}, {"a": 1}),
    (kinds.Clamped, 50, 10),
    (kinds.Unwritten, {"to": "ann"}, REFUSED),
    (kinds.Unwritten, {"to": "ann", "limit": 5}, REFUSED),
    (kinds.Unwritten, {"to": "ann", "limit": 6}, {"to": "ann", "limit": 6}),
    (kinds.Secrets, {"pin": "1234"}, {"pin": "1234"}),
    (kinds.Growing, 5, REFUSED),
    (kinds.Masked, "ann", REFUSED),
    (int | str, "1", "1"),
    (Decimal | float, 1, "1"),
]


@pytest.mark.parametrize(("kind", "raw", "wanted"), CASES)
def test_arguments_are_as_the_tool_gets_them_or_refused(kind: Any, raw: Any, wanted: Any) -> None:
    if wanted is REFUSED:
        with pytest.raises(ValueError, match=r"."):
            tool_of(kind).canonical({"x": raw})
        return
    made = tool_of(kind).canonical({"x": raw})
    assert canonical_json(made) == canonical_json({"x": wanted})
    assert tool_of(kind).canonical(made) == made


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (kinds.Payee | dict, "of a type with names or else any object"),
        (list[kinds.Payee] | list[dict[str, Any]], "of a type with names or else any object"),
        (dict[str, kinds.Payee | dict[str, str]], "of a type with names or else any object"),
        (kinds.Payee | JsonValue, "of a type with names or else any object"),
        (Json[kinds.Payee], "x: Json hides what is in it"),
        (ImportString[Any], "x: an ImportString lets a model say which code runs"),
        (ImportString, "x: an ImportString lets a model say which code runs"),
        (Iterable[int], "x: an Iterable can be read once only"),
        (kinds.Left, r"hidden: it is left out when the arguments are written \(exclude=True\)"),
        (
            list[kinds.LeftAtTimes],
            r"hidden: it may be left out when the arguments are written \(exclude_if=\)",
        ),
        (kinds.ReadOnce, "read: an InitVar is read and never written"),
        (Annotated[str, Field(pattern=re.compile("^(a+)+$"))], "x: its pattern runs in Python's engine"),
        (list[kinds.InPythonsEngine], "code: its pattern runs in Python's engine"),
        (Annotated[str, Field(pattern="^(?=a)")], "in bounded work: .* look-around"),
        (list[kinds.Renamed], "payTo: it is read under another name than it is written"),
    ],
)
def test_a_type_that_can_hide_something_from_the_rules_makes_no_tool(kind: Any, said: str) -> None:
    with pytest.raises(ToolDefinitionError, match=said):
        tool_of(kind)


def test_a_default_that_does_not_fit_makes_no_tool() -> None:
    with pytest.raises(
        ToolDefinitionError, match=r"x: its default None doesn't fit its type: write `\| None`"
    ):
        tool_of(list[str], None)


def test_a_default_is_part_of_what_is_decided_on() -> None:
    assert tool_of(str, "USD").canonical({}) == {"x": "USD"}


KINDS = list(dict.fromkeys(kind for kind, _, wanted in CASES))


@given(st.sampled_from(range(len(KINDS))), json_values | st.sampled_from([raw for _, raw, _ in CASES]))
def test_what_is_decided_on_is_what_the_function_receives_or_nothing_runs(index: int, raw: Any) -> None:
    kind, received = KINDS[index], []
    taker: Tool[..., str] = tool_of(kind, seen=received.append)
    call = canonical_call(ToolCall(id=ToolCallId("1"), tool="take", arguments={"x": raw}), taker)
    if call.problem:
        return
    # As history has it.
    decided = ToolCall.model_validate_json(call.model_dump_json()).arguments
    asyncio.run(taker.perform(taker.read(decided, CONTEXT)))
    (got,) = received
    again = tool_of(kind).canonical(decided)
    assert canonical_json(again) == canonical_json(decided) == canonical_json(call.arguments)
    if not (isinstance(got, set | frozenset) or "Secret" in str(kind)):
        written = TypeAdapter(kind).dump_python(got, mode="json", by_alias=True, round_trip=True)
        assert written == decided["x"]


@given(st.sampled_from(range(len(KINDS))), json_values | st.sampled_from([raw for _, raw, _ in CASES]))
def test_a_function_never_gets_what_was_decided_on_in_another_form(index: int, raw: Any) -> None:
    """Whoever decided on it, and wherever the types were."""
    kind, received = KINDS[index], []
    taker: Tool[..., str] = tool_of(kind, seen=received.append)
    try:
        values = taker.read({"x": raw}, CONTEXT)
    except (ValueError, TypeError):
        return
    asyncio.run(taker.perform(values))
    assert taker.canonical({"x": raw})["x"] == raw


def test_a_function_is_not_called_with_what_differs_from_the_decision() -> None:
    with pytest.raises(NotCanonicalError, match=r"^x: the tool would get something else"):
        tool_of(kinds.Mail).read({"x": " EVE@Evil.example"}, CONTEXT)
    with pytest.raises(NotCanonicalError, match=r"^x/seat_upgrade \(is not taken\): the tool would get"):
        tool_of(kinds.Payee).read({"x": {"to": "a", "note": "", "seat_upgrade": "+$0"}}, CONTEXT)
    with pytest.raises(NotCanonicalError, match=r"^x \(is missing\): the tool would get"):
        tool_of(str, "USD").read({}, CONTEXT)


def _offer(taker: Any) -> ToolOffer:
    return ToolOffer(name="take", description="", input_schema=taker.contract.input_schema)


def _asked(raw: Any) -> AssistantMessage:
    return AssistantMessage(tool_calls=(ToolCall(id=ToolCallId("1"), tool="take", arguments={"x": raw}),))


async def _made(taker: Any, raw: Any, offer: ToolOffer | None = None) -> ToolCall:
    calls = CanonicalCalls({"Agent": (taker,)})
    return (await calls.of(_asked(raw), [offer or _offer(taker)], "Agent")).tool_calls[0]


async def test_an_answer_is_recorded_in_canonical_form_with_what_was_written() -> None:
    call = await _made(tool_of(kinds.Mail), " EVE@Evil.example")
    assert (call.arguments, call.written) == ({"x": "eve@evil.example"}, {"x": " EVE@Evil.example"})


async def test_what_was_written_in_canonical_form_takes_no_more_room() -> None:
    call = await _made(tool_of(kinds.Mail), "eve@evil.example")
    assert json.loads(call.model_dump_json()) == {
        "id": "1",
        "tool": "take",
        "arguments": {"x": "eve@evil.example"},
    }


async def test_what_has_no_canonical_form_is_recorded_with_the_reason() -> None:
    call = await _made(tool_of(int), "1_000")
    assert (call.arguments, call.problem) == ({"x": "1_000"}, "x: '1_000' is not of type 'integer'")


async def test_a_value_that_types_make_up_is_made_up_once() -> None:
    call = await _made(tool_of(kinds.Fresh), {"to": "ann"})
    assert len(call.arguments["x"]["id"]) == 32
    again = canonical_call(
        ToolCall(id=ToolCallId("1"), tool="take", arguments=call.arguments), tool_of(kinds.Fresh)
    )
    assert again.arguments == call.arguments


def test_in_workflow_code_a_value_that_types_make_up_is_refused() -> None:
    call = ToolCall(id=ToolCallId("1"), tool="take", arguments={"x": {"to": "ann"}})
    assert (
        "something else of them each time"
        in canonical_call(call, tool_of(kinds.Fresh), is_replayed=True).problem
    )


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), KeyboardInterrupt(), RecursionError()])
async def test_types_that_raise_anything_refuse_the_call_and_end_nothing(error: BaseException) -> None:
    def broken(value: int) -> int:
        raise error

    call = await _made(tool_of(kinds.Annotated[int, kinds.AfterValidator(broken)]), 1)
    assert call.problem == f"the tool's types raised {type(error).__name__}"


@pytest.mark.parametrize(
    "kind", [kinds.Clamped, kinds.Growing, kinds.Masked, kinds.Fresh, list[kinds.Clamped]]
)
def test_types_with_code_of_the_users_are_known(kind: Any) -> None:
    """They are called in bounded time, in a thread of their own."""
    assert tool_of(kind).types_run_code


@pytest.mark.parametrize(
    "kind",
    [int, Decimal, kinds.Mail, kinds.Trip, kinds.Pet, SecretStr, AnyUrl, Path, UUID, IPv4Address, set[str]],
)
def test_types_without_code_of_the_users_take_no_thread(kind: Any) -> None:
    assert not tool_of(kind).types_run_code


async def test_types_that_never_come_back_refuse_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr("agentflow.activity.canonical_calls.TYPES_SECONDS", 0.05)
    end = threading.Event()
    slow = kinds.Annotated[int, kinds.AfterValidator(lambda value: end.wait() and value)]
    call = await _made(tool_of(slow), 1)
    end.set()
    assert "took longer than" in call.problem


async def test_types_other_than_those_on_offer_are_not_asked() -> None:
    """The run is pinned to what it began with; the worker that carries it out refuses the rest."""
    offered = {"properties": {"x": {"type": "string"}, "y": {"default": 5}}}
    other = ToolOffer(name="take", description="", input_schema=offered)
    assert (await _made(tool_of(kinds.Mail), " EVE", other)).arguments == {"x": " EVE", "y": 5}


async def test_types_are_those_on_offer_whatever_is_said_of_them() -> None:
    taker = tool_of(kinds.Mail)
    schema = json.loads(json.dumps(taker.contract.input_schema))
    schema["properties"]["x"]["description"] = "another word"
    other = ToolOffer(name="take", description="", input_schema=schema)
    assert (await _made(taker, " EVE", other)).arguments == {"x": "eve"}


class _Standing:
    """A stand-in for a tool that another worker carries out: it has a contract, and no types."""

    def __init__(self, of: Any) -> None:
        self.contract = of.contract


async def test_a_stand_in_without_types_gets_the_defaults_of_its_contract() -> None:
    standing = _Standing(tool_of(str, "USD"))
    made = AssistantMessage(tool_calls=(ToolCall(id=ToolCallId("1"), tool="take", arguments={}),))
    call = (await CanonicalCalls({"Agent": (standing,)}).of(made, [_offer(standing)], "Agent")).tool_calls[0]
    assert call.arguments == {"x": "USD"}
