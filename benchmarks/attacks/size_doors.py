"""Doors where too much may come in: what is sent there, what must become of it, and the same unguarded."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from jsonschema import Draft202012Validator

from agentflow.activity.calling import ToolCaller
from agentflow.activity.gone_tool import GoneTool
from agentflow.contracts.approval import ApprovalDecision
from agentflow.contracts.carried import StatePart
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.rules import DecisionRecord
from agentflow.contracts.tools import ToolContract, ToolOptions
from agentflow.contracts.wire import MAX_DEPTH, ApprovalId, Json, ToolCallId, canonical_json
from agentflow.core.answer_bounds import MAX_ARGUMENTS_DEPTH, too_long, too_many_calls, with_shallow_arguments
from agentflow.core.approval import Refusal
from agentflow.core.catalog import Catalog
from agentflow.core.record import MAX_BYTES, MAX_RECORDS, DecisionLog
from agentflow.core.schema import compile_schema
from agentflow.core.signals import MAX_SIGNAL_BYTES, parse_decision
from agentflow.core.state_parts import joined, parts_of, split
from benchmarks.attacks.line_doors import lines

LIMIT = 20_000
"""Bytes of the arguments, the answer and the result under attack."""


@dataclass(frozen=True)
class Sent:
    """One attempt: what goes wrong of it with the guard and without, or ``None``."""

    what: str
    guarded: Callable[[], str | None]
    unguarded: Callable[[], str | None]


_TOOL = ToolContract(
    name="note",
    description="Note something.",
    input_schema={"type": "object", "properties": {"of": {}}, "additionalProperties": False},
    output_schema={},
    effect="write",
    options=ToolOptions(max_argument_bytes=LIMIT, max_result_bytes=LIMIT),
)
_CATALOG = Catalog.of([_TOOL])
_LONG_VALUES = ("x", "é", "\u0000", "\U0001f600", '"', "\\")


def nested(value: Json, levels: int, random: Random) -> Json:
    """A value in so many lists and objects."""
    for _ in range(levels):
        value = [value] if random.random() < 0.5 else {"of": value}
    return value


def large(random: Random) -> tuple[str, Json, int]:
    """A value that is deep, long or wide, in a word, and how deep it is."""
    size = random.choice([10, 100, 1_000, 5_000, 50_000])
    match random.choice(["deep", "long", "wide", "many", "both"]):
        case "deep":
            levels = random.choice([50, 78, 79, 80, 81, 99, 100, 101, 900, 5_000, 50_000])
            return f"{levels} deep", nested(1, levels, random), levels
        case "long":
            return f"{size} characters", random.choice(_LONG_VALUES) * size, 0
        case "wide":
            return f"{size} keys", {f"k{number}": number for number in range(size)}, 1
        case "many":
            return f"{size} items", [random.choice([1, 1.0, "x", None, []])] * size, 2
        case _:
            return f"{size} items, 60 deep", nested(list(range(size)), 60, random), 61


def arguments(random: Random) -> Sent:
    """A model's call."""
    what, value, levels = large(random)

    def guarded() -> str | None:
        call = ToolCall(id=ToolCallId("c1"), tool="note", arguments={"of": value})
        (taken,) = with_shallow_arguments(AssistantMessage(tool_calls=(call,))).tool_calls
        problem = _CATALOG.check(taken)
        if levels + 1 > MAX_ARGUMENTS_DEPTH:
            return None if problem and taken.problem else "was taken, too deep"
        size = len(canonical_json({"of": value}))
        if size > LIMIT:
            return None if problem else "was taken, too long"
        return None if problem is None and taken == call else f"is another one: {problem}"

    return Sent(what, guarded, lambda: _is_beyond(len(json.dumps({"of": value})), LIMIT))


def answers(random: Random) -> Sent:
    """A model's answer with many calls, or a long one."""
    count, most = random.choice([0, 1, 19, 20, 21, 500, 5_000]), random.choice([1, 20, 50])
    text = random.choice(_LONG_VALUES) * random.choice([0, 10, 19_000, 30_000, 500_000])
    calls = tuple(
        ToolCall(id=ToolCallId(f"c{number}"), tool="note", arguments={"of": number})
        for number in range(count)
    )
    message = AssistantMessage(text=text, tool_calls=calls)

    def guarded() -> str | None:
        # Keys are in another order than in the canonical form, and as many.
        size = len(message.model_dump_json().encode())
        is_refused = bool(too_many_calls(message, most) or too_long(message, LIMIT))
        return None if is_refused is (count > most or size > LIMIT) else f"was refused: {is_refused}"

    def unguarded() -> str | None:
        return _is_beyond(len(message.model_dump_json()), LIMIT) or _is_beyond(count, most)

    return Sent(f"{count} calls of {most}, {len(text)} characters", guarded, unguarded)


def results(random: Random) -> Sent:
    """What a tool, or a person in its place, answered."""
    what, value, levels = large(random)
    caller = ToolCaller(GoneTool("note"))
    caller.contract = _TOOL

    def guarded() -> str | None:
        result = caller.told(value)
        if levels > MAX_DEPTH or len(canonical_json(value)) > LIMIT:
            return None if result.error else "was taken, beyond its limit"
        return None if result.error is None and result.output == value else f"is another: {result.error}"

    return Sent(what, guarded, lambda: _is_beyond(len(json.dumps(value)), LIMIT))


def signals(random: Random) -> Sent:
    """A person's decision, with more in it than it has."""
    fine = {"approval_id": "approval-1", "by": "ann", "reason": "r" * random.choice([0, 100, 2_000])}
    text = json.dumps(fine)
    many = random.choice([100, 5_000, 200_000])
    extra = random.choice(
        [
            f', "by": "{"x" * random.choice([1, 50])}"',
            ', "reason": ' + "[" * many + "]" * many,
            ', "roles": [' + ", ".join(f'"r{number}"' for number in range(many)) + "]",
            ', "roles": ' + '{"a":' * many + "1" + "}" * many,
            "".join(f', "k{number}": 1' for number in range(many)),
            f', "reason": "{"x" * many * 30}"',
            f', "reason": {"9" * many}',
            ', "reason": 1e999',
            ', "reason": NaN',
            " " * (MAX_SIGNAL_BYTES + many),
        ]
    )
    is_bad = random.random() < 0.8
    payload = (text[:-1] + extra + "}" if is_bad else text).encode()
    payloads = (payload,) * (random.choice([0, 2, 1_000]) if is_bad and random.random() < 0.2 else 1)

    def guarded() -> str | None:
        found = parse_decision(payloads)
        if is_bad:
            return None if isinstance(found, Refusal) else "was taken"
        wanted = ApprovalDecision(approval_id=ApprovalId("approval-1"), by="ann", reason=fine["reason"])
        return None if found == wanted else f"is another one: {found}"

    def unguarded() -> str | None:
        json.loads(payloads[0])
        return "was taken" if is_bad else None

    return Sent(f"{len(payloads)} payloads of {len(payload)} bytes", guarded, unguarded)


def records(random: Random) -> Sent:
    """A flood of signals, and of what models ask for, in a run's decision log."""
    made = [_record(random) for _ in range(random.choice([5, 40, 150]))]
    decided = made[0]

    def guarded() -> str | None:
        log = DecisionLog((decided,))
        for record in made[1:]:
            log = log.add(record)
        size = sum(len(record.model_dump_json().encode()) for record in log.records)
        if size > MAX_BYTES or len(log.records) > MAX_RECORDS:
            return f"{size} bytes, {len(log.records)} records"
        if log.dropped != len(made) - len(log.records):
            return f"{log.dropped} are said to be gone"
        return None

    def unguarded() -> str | None:
        return _is_beyond(sum(len(record.model_dump_json()) for record in made), MAX_BYTES)

    return Sent(f"{len(made)} records", guarded, unguarded)


def _record(random: Random) -> DecisionRecord:
    long = random.choice(_LONG_VALUES) * random.choice([10, 2_000, 30_000, 200_000])
    subject = random.choice(("signal", "tool_call", "freeze", "revocation", "approval"))
    is_accepted = random.random() < 0.3
    return DecisionRecord(
        subject=subject,
        accepted=is_accepted,
        detail=long,
        at="2026-01-01T00:00:00Z",
        tool=random.choice([None, long[:5_000]]),
        by=random.choice([None, "ann", long[:1_000]]),
    )


def states(random: Random) -> Sent:
    """What a run takes along when it continues as new."""
    limit = random.choice([1_000, 5_000, 64_000])
    long = [
        large(random)[1]
        if random.random() < 0.1
        else f'{random.random()}\ud800é"\\' * random.choice([1, 300])
    ]
    state: dict[str, Json] = {
        "past_calls": [one for one in long if not _is_deep(one)] * random.choice([1, 50]),
        "decisions": {"\u2028": "\x00" * random.choice([0, 5_000])},
        "turn": 3,
        "agent": "Refunds",
    }

    def guarded() -> str | None:
        short, parts = split(state, limit)
        sizes = [len(part.model_dump_json().encode()) for part in parts]
        if max(sizes, default=0) > limit:
            return f"a part has {max(sizes)} bytes of {limit}"
        if parts_of(short) != tuple(part.name for part in parts):
            return "other parts are named"
        return None if joined(short, [part.text for part in parts]) == state else "came back as another"

    def unguarded() -> str | None:
        whole = StatePart(name="0" * 64, text=json.dumps(state))  # pyright: ignore[reportArgumentType]
        return _is_beyond(len(whole.model_dump_json()), limit)

    return Sent(f"parts of {limit} bytes", guarded, unguarded)


def schemas(random: Random) -> Sent:
    """A large value, a large schema, or both."""
    size = random.choice([100, 2_000, 20_000, 20_000])
    numbers: list[Json] = list(range(size))
    pairs: list[Json] = [{"of": number} for number in numbers]
    tree: Json = {"anyOf": [{"properties": {"of": {"$ref": "#"}}, "required": ["no"]}] * 2}
    schema, value, is_fine = random.choice(
        [
            ({"uniqueItems": True}, pairs, True),
            ({"uniqueItems": True}, [*pairs, pairs[0]], False),
            ({"uniqueItems": True, "items": {"$ref": "#"}}, [[[*pairs, pairs[0]]]], False),
            ({"uniqueItems": True, "items": {"$ref": "#"}}, nested_lists([*numbers, 0], 90), False),
            ({"items": {"const": numbers}}, [numbers] * 50 + [[]], False),
            ({"items": {"enum": [numbers, pairs]}}, [numbers] * 20 + [[]], False),
            ({"contains": {"const": -1}}, numbers, False),
            ({"items": {"properties": {f"k{key}": {} for key in range(500)}}}, [{}] * size + [1], True),
            ({"items": {"type": "integer"}}, [*numbers, "x"], False),
            ({**tree, "minProperties": 1}, nested_objects(80), False),
            ({"maxItems": 5}, numbers, False),
            ({"additionalProperties": False}, {f"k{number}": number for number in numbers}, False),
        ]
    )
    check = compile_schema(schema, "a schema")

    def guarded() -> str | None:
        # What is too much work to check is refused, although nothing may be wrong with it.
        return "was taken" if check(value) is None and not is_fine else None

    def unguarded() -> str | None:
        validator: Any = Draft202012Validator(schema)
        validator.is_valid(value)
        return None

    return Sent(f"{str(schema)[:100]}, {size}", guarded, unguarded)


def nested_lists(value: Json, levels: int) -> Json:
    """A value in so many lists."""
    for _ in range(levels):
        value = [value]
    return value


def nested_objects(levels: int) -> Json:
    """So many objects, one in the other."""
    value: Json = {"of": 1}
    for _ in range(levels):
        value = {"of": value}
    return value


def _is_deep(value: Json) -> bool:
    return isinstance(value, list | dict)


def _is_beyond(size: int, limit: int) -> str | None:
    return f"{size} of {limit}" if size > limit else None


def log_lines(random: Random) -> Sent:
    """Lines that are logged while nobody reads."""
    count, flood = random.choice([1, 50, 100, 101, 1_000, 5_000]), random.choice([1, 100])
    return Sent(f"{count} lines", lambda: lines(count, flood), lambda: _is_beyond(count, flood))


DOORS: Mapping[str, Callable[[Random], Sent]] = {
    "arguments": arguments,
    "answers": answers,
    "results": results,
    "signals": signals,
    "records": records,
    "states": states,
    "schemas": schemas,
    "log lines": log_lines,
}
