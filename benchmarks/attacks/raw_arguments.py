"""Raw arguments: what is written, what it means, and what a tool makes of it are three things.

An attack gets through if a tool's function ran and received anything else than what the rule looked at, or if
a key that nothing names was in what was agreed to. The guards are the canonical form that everything looks
at, the comparison right before the function, and schemas that are closed at every level. The twin is without
them: rules see what the model wrote, the tool what its types make of it.
"""

import inspect
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from email.utils import parseaddr
from random import Random
from typing import Annotated, Any, cast
from unittest.mock import patch
from uuid import UUID, uuid4

from pydantic import AfterValidator, AnyUrl, BaseModel, StringConstraints, TypeAdapter

from agentflow.activity.context import ToolContext
from agentflow.activity.tool import Tool, tool
from agentflow.contracts.budget import Spend
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json, ToolCallId, canonical_json, sha256_of
from agentflow.core import canonical_calls
from agentflow.core.canonical_arguments import ArgumentForm
from agentflow.core.catalog import Catalog
from agentflow.core.closing import closed, is_closed, mixes_names_with_any
from agentflow.core.mcp_tools import mcp_contract
from agentflow.core.policy import decide
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import allow
from agentflow.errors import ToolDefinitionError
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried
from benchmarks.attacks.twins import replaced

EXTRA = "seat_upgrade"
"""A key that nothing names."""


class Line(BaseModel):
    """One line of an order."""

    to: str
    count: int = 1


class Order(BaseModel):
    """An order, with lines at some depth."""

    lines: list[Line] = []
    by_name: dict[str, Line] = {}
    first: Line | None = None


Mail = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)]
Addressed = Annotated[str, AfterValidator(lambda text: parseaddr(text)[1].lower())]


@dataclass(frozen=True)
class Trick:
    """A type, and how a value of it is written so that it reads as another one."""

    kind: Any
    write: Callable[[Random], Json]
    default: Any = inspect.Parameter.empty


def _otherwise(random: Random, text: str) -> str:
    """The text in other cases, with space around it."""
    cased = "".join(random.choice([letter.upper(), letter]) for letter in text)
    return random.choice(["", " ", "\t", "\n "]) + cased + random.choice(["", " ", "\u00a0"])


def _number(random: Random) -> Json:
    number = random.randrange(1, 10**6)
    arabic = "".join(unicodedata.lookup(f"ARABIC-INDIC DIGIT {_NAMES[int(digit)]}") for digit in str(number))
    spellings = [f"{number:_}", arabic, f" {number} ", f"{number}e3", f"+{number}", f"00{number}", number]
    return random.choice([*spellings, float(number), f"{number}.0e-1"])


_NAMES = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")


def _with_extra(random: Random) -> Json:
    line: dict[str, Json] = {"to": "ann", EXTRA: "window, +$0"}
    order: dict[str, Json] = random.choice(
        [{"lines": [line]}, {"by_name": {"x": line}}, {"first": line}, {"lines": [], EXTRA: 1}]
    )
    return order


def _alias_of_extra(random: Random) -> Json:
    key = random.choice(["pay_to", "To", "to ", "TO", "t\u043e", EXTRA, "__class__", "count_"])
    return {"to": "ann", key: random.choice(["eve", 5, None, {"to": "eve"}])}


def _time(random: Random) -> Json:
    day = f"2026-0{random.randrange(1, 9)}-1{random.randrange(10)}"
    return day + random.choice(
        [" 10:00", "T10:00:00+00:00", "T10:00Z", "T12:00:00.000+02:00", "", "t10:00:00z"]
    )


def _url(random: Random) -> Json:
    host = random.choice(["eve.example", "b\u00fccher.example", "ev\u0435.example"])
    shapes = [
        "https://{}",
        "HTTPS://{}/",
        "https://{}:443/a/../b",
        "https://good.example@{}/",
        "https:\\\\{}\\a",
    ]
    return random.choice(shapes).format(_otherwise(random, host).strip())


def _uuid(random: Random) -> Json:
    text = str(UUID(int=random.getrandbits(128)))
    return random.choice([text.upper(), text.replace("-", ""), f"urn:uuid:{text}", f"{{{text}}}"])


def _addressed(random: Random) -> Json:
    return random.choice(["Ann <{}>", "<{}>", "{}"]).format(
        f"{_otherwise(random, 'eve').strip()}@EVIL.example"
    )


TRICKS: Mapping[str, Trick] = {
    "an address with space and case": Trick(Mail, lambda random: _otherwise(random, "eve@evil.example")),
    "an address with a name": Trick(Addressed, _addressed),
    "an amount": Trick(Decimal, _number),
    "a number": Trick(int, _number),
    "a time": Trick(datetime, _time),
    "a place": Trick(AnyUrl, _url),
    "an id": Trick(UUID, _uuid),
    "an address among many": Trick(
        set[Mail], lambda random: [_otherwise(random, name) for name in ("eve", "ann", "Eve")]
    ),
    "a name that becomes another": Trick(
        dict[int, str], lambda random: {random.choice(["1", "01", "+1"]): "ann", "1": "eve"}
    ),
    "an extra key at some depth": Trick(Order, _with_extra),
    "an extra key like a name": Trick(Line, _alias_of_extra),
    "an extra key in one of many": Trick(list[Line], lambda random: [{"to": "ann"}, _alias_of_extra(random)]),
    "an extra key, or else any object": Trick(Line | dict, _alias_of_extra),
    "nothing, which is a default": Trick(str, lambda _: None, "eve@evil.example"),
}


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Try raw arguments on the way that a call takes, and on a twin of it."""
    del stage
    tally = Tally()
    tally.count([await _tried(random) for _ in range(attempts)])
    with _as_it_was():
        tally.count_twin([await _tried(random) for _ in range(max(attempts // 5, 150))])
    return tally


@contextmanager
def _as_it_was() -> Iterator[None]:
    """A twin in which rules see what was written, tools what their types make of it, and objects are open."""

    def as_written(call: ToolCall, tool: Any, offered: Any, **_: Any) -> ToolCall:
        del tool, offered
        return call

    def open_within(schema: Mapping[str, Json]) -> dict[str, Json]:
        return {**schema, "additionalProperties": False}

    def always(_: Any) -> bool:
        return True

    def never(_: Any) -> bool:
        return False

    with ExitStack() as stack:
        stack.enter_context(replaced(canonical_calls.canonical_call, as_written))
        stack.enter_context(replaced(closed, open_within))
        stack.enter_context(replaced(is_closed, always))
        stack.enter_context(replaced(mixes_names_with_any, never))
        stack.enter_context(patch.object(ArgumentForm, "parsed_as_decided", ArgumentForm.parsed))
        yield


async def _tried(random: Random) -> Tried:
    if random.random() < 0.15:
        return _imported(random)
    name = random.choice(sorted(TRICKS))
    trick = TRICKS[name]
    given = trick.write(random)
    arguments = {} if trick.default is not inspect.Parameter.empty else {"x": given}
    received: list[Any] = []
    try:
        taker = _taker(trick, received)
    except ToolDefinitionError:
        return Tried(name, breached=False)
    call = ToolCall(id=ToolCallId("1"), tool="take", arguments=arguments)
    looked_at: list[Json] = []
    # Half of what comes wasn't put in its form by anybody: the types were not at hand.
    if random.random() < 0.5:
        call = canonical_calls.canonical_call(call, taker, taker.contract.input_schema)
    if not _allowed(taker.contract, call, looked_at):
        return Tried(name, breached=False)
    context = ToolContext(call_id=call.id, idempotency_key=sha256_of(str(uuid4())))
    try:
        await taker.perform(taker.read(call.arguments, context))
    except ValueError:
        return Tried(name, breached=False)
    return _judged(name, trick.kind, looked_at[0], received[0])


def _taker(trick: Trick, received: list[Any]) -> Tool[..., str]:
    """A tool that remembers what it got."""

    async def take(x: Any) -> str:
        """Take a value."""
        received.append(x)
        return ""

    parameter = inspect.Parameter(
        "x", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=trick.default, annotation=trick.kind
    )
    take.__annotations__ = {"x": trick.kind, "return": str}
    cast(Any, take).__signature__ = inspect.Signature([parameter])
    return tool(effect="irreversible", sinks=())(take)


def _allowed(contract: ToolContract, call: ToolCall, looked_at: list[Json]) -> bool:
    """Whether the contract and a rule let a call through; the rule remembers what it saw."""

    def look(context: RuleContext) -> bool:
        looked_at.append(dict(context.arguments))
        return True

    if Catalog.of([contract]).check(call):
        return False
    context = RuleContext(
        tool=contract,
        arguments=call.arguments,
        tier="dev",
        tenant="",
        customer_tier="",
        requested_by="inbox",
        task_input=None,
        model="lab:small",
        model_proven=True,
        spend=Spend(),
    )
    decision = decide([allow("any", reason="tried", tools=("take",), when=look)], context, ())
    return decision.verdict == "allow"


def _judged(name: str, kind: Any, seen: Json, got: Any) -> Tried:
    """Whether what the rule saw is what the function got, written as JSON by nobody of ours."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    written = adapter.dump_python(got, mode="json", by_alias=True)
    looked_at = seen.get("x", None)
    if isinstance(got, set | frozenset):
        written, looked_at = (sorted(part, key=str) for part in (written, looked_at))
    hidden = EXTRA in str(seen) or "pay_to" in str(seen)
    differs = canonical_json(written) != canonical_json(looked_at)
    if differs and isinstance(got, int | float):
        differs = isinstance(looked_at, bool | str | None) or got != looked_at
    return Tried(name, breached=hidden or differs, what=f"seen {looked_at!r}, got {written!r}")


_SHAPES: tuple[Callable[[Json], Json], ...] = (
    lambda inner: {"type": "array", "items": inner},
    lambda inner: {"type": "object", "additionalProperties": inner},
    lambda inner: {"anyOf": [inner, {"type": "null"}]},
    lambda inner: {"type": "object", "properties": {"p": inner}},
    lambda inner: {"allOf": [inner, {"properties": {"other": {}}}]},
)
_FILLED: tuple[Callable[[Json], Json], ...] = (
    lambda inner: [inner],
    lambda inner: {"k": inner},
    lambda inner: inner,
    lambda inner: {"p": inner},
    lambda inner: inner,
)


def _imported(random: Random) -> Tried:
    """An extra key in the arguments of a tool from elsewhere, to which they are sent as they are."""
    schema: Json = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    value: Json = {"to": "ann", random.choice([EXTRA, "pay_to", "To"]): "eve"}
    for _ in range(random.randrange(5)):
        at = random.randrange(len(_SHAPES))
        schema, value = _SHAPES[at](schema), _FILLED[at](value)
    offered = {"name": "take", "inputSchema": {"type": "object", "properties": {"x": schema}}}
    contract = mcp_contract("elsewhere", offered)
    call = ToolCall(id=ToolCallId("1"), tool="take", arguments={"x": value})
    taken = Catalog.of([contract]).check(call) is None
    return Tried("an extra key for a tool from elsewhere", taken, str(value))
