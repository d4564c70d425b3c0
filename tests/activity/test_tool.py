import inspect
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from agentflow.activity.context import ToolContext
from agentflow.activity.tool import Tool, tool, tools_of
from agentflow.contracts.tools import RetryOptions, Sink, ToolOptions
from agentflow.contracts.wire import ToolCallId, sha256_of
from agentflow.core.policy import decide
from agentflow.core.rules import allow
from agentflow.errors import ToolDefinitionError
from tests.core.samples import rule_context

CONTEXT = ToolContext(call_id=ToolCallId("call_1"), idempotency_key=sha256_of("call_1"))


class Address(BaseModel):
    street: str
    city: str = "London"


class Parcel(BaseModel):
    number: str
    to: Address
    seen: str = ""


class Post:
    def __init__(self, name: str) -> None:
        self.name = name

    @tool(effect="read")
    async def find(
        self,
        number: str,
        kind: Literal["parcel", "letter"] = "parcel",
        limit: Annotated[int, Field(ge=1, description="from the type")] = 10,
    ) -> list[str]:
        """Find a parcel.

        Second paragraph.

        Args:
            number: What is on the
                label.
            kind (str): What it is.

        Returns:
            Where it was.
        """
        return [f"{self.name}: {number} {kind} {limit}"]

    @tool(effect="irreversible", scopes=("post:send",), recovery="key", name="send_parcel")
    async def send(self, to: Address, context: ToolContext, note: str | None = None) -> Parcel:
        """Send a parcel."""
        assert isinstance(to, Address)
        return Parcel(number=context.idempotency_key[:5], to=to, seen=f"{context.call_id} {note}")


class ExpressPost(Post):
    @tool(effect="write")
    async def hurry(self, number: str) -> None:
        """Make a parcel hurry."""

    @tool(effect="read")
    async def find(self, number: str) -> list[str]:
        """Find an express parcel."""
        return ["everywhere"]


@tool(effect="read")
async def today(context: ToolContext) -> str:
    """What day it is."""
    return f"attempt {context.attempt}"


def test_the_contract_comes_from_the_types_and_the_docstring() -> None:
    contract = Post.find.contract
    assert (contract.name, contract.effect, contract.recovery) == ("find", "read", "ask")
    assert contract.description == "Find a parcel.\n\nSecond paragraph."
    assert contract.input_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["number"],
        "properties": {
            "number": {"type": "string", "title": "Number", "description": "What is on the label."},
            "kind": {
                "type": "string",
                "title": "Kind",
                "enum": ["parcel", "letter"],
                "default": "parcel",
                "description": "What it is.",
            },
            "limit": {
                "type": "integer",
                "title": "Limit",
                "minimum": 1,
                "default": 10,
                "description": "from the type",
            },
        },
    }
    assert contract.output_schema == {"type": "array", "items": {"type": "string"}}


def test_what_the_decorator_says_is_in_the_contract() -> None:
    options = ToolOptions(retry=RetryOptions(max_attempts=2))

    @tool(effect="write", options=options)
    async def touch() -> None:
        """Touch it."""

    assert Post.send.contract.name == "send_parcel"
    assert (Post.send.contract.scopes, Post.send.contract.recovery) == (("post:send",), "key")
    assert touch.contract.options == options
    assert touch.contract.output_schema == {"type": "null"}


def test_the_context_is_hidden_from_the_model() -> None:
    assert list(Post.send.contract.input_schema["properties"]) == ["to", "note"]
    assert today.contract.input_schema["properties"] == {}


async def test_the_context_reaches_the_function() -> None:
    output = await Post("Royal").send.invoke({"to": {"street": "Strand 1"}}, CONTEXT)
    assert output == {
        "number": CONTEXT.idempotency_key[:5],
        "to": {"street": "Strand 1", "city": "London"},
        "seen": "call_1 None",
    }
    assert await today.invoke({}, CONTEXT) == "attempt 1"


async def test_json_arguments_become_the_functions_types_and_defaults() -> None:
    assert await Post("Royal").find.invoke({"number": "7", "limit": 3}, CONTEXT) == ["Royal: 7 parcel 3"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"number": 7},
        {"number": "7", "colour": "red"},
        {"number": "7", "limit": 0},
        {"number": "7", "self": 1},
    ],
)
async def test_arguments_off_the_contract_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(number|kind|limit|value): "):
        await Post("Royal").find.invoke(arguments, CONTEXT)


async def test_the_model_can_not_supply_the_context() -> None:
    with pytest.raises(ValueError, match="'context' was unexpected"):
        await today.invoke({"context": {"attempt": 7}}, CONTEXT)


async def test_a_bound_tool_can_be_called_like_the_method_it_was() -> None:
    assert await Post("Royal").find("7", limit=2) == ["Royal: 7 parcel 2"]


def test_the_class_has_the_contract_and_only_an_object_has_the_tool() -> None:
    assert isinstance(Post.find, Tool)
    assert not Post.find.is_bound
    assert Post("Royal").find.is_bound
    assert today.is_bound


async def test_two_objects_have_tools_of_their_own() -> None:
    one, other = Post("Royal"), Post("Swiss")
    assert await one.find("1") == ["Royal: 1 parcel 10"]
    assert await other.find("1") == ["Swiss: 1 parcel 10"]
    assert one.find.contract is other.find.contract


def test_the_tools_of_an_object_are_in_the_order_of_their_definition() -> None:
    assert [t.contract.name for t in tools_of(Post("Royal"))] == ["find", "send_parcel"]


async def test_an_inherited_tool_keeps_its_place_and_an_overridden_one_is_the_subclass_s() -> None:
    tools = tools_of(ExpressPost("Royal"))
    assert [t.contract.name for t in tools] == ["find", "send_parcel", "hurry"]
    assert all(t.is_bound for t in tools)
    assert await tools[0].invoke({"number": "7"}, CONTEXT) == ["everywhere"]


def test_a_tool_shows_its_name_effect_and_docstring() -> None:
    assert repr(Post.send) == "<tool send_parcel (irreversible)>"
    assert inspect.getdoc(today) == "What day it is."


def plain(number: str) -> str:
    """Not async."""
    return number


async def undocumented(number: str) -> str:
    return number


async def only_sections(number: str) -> str:
    """Args:
    number: What the model can't choose by.
    """
    return number


async def returns_anything(number: str):  # type: ignore[no-untyped-def]
    """No return type."""


async def untyped(number) -> str:  # type: ignore[no-untyped-def]
    """No type."""
    return number


async def star(*numbers: str) -> str:
    """Many numbers."""
    return ""


async def double_star(**numbers: str) -> str:
    """Many numbers."""
    return ""


async def by_place(number: str, /) -> str:
    """Not by name."""
    return number


class Plain:
    pass


async def no_schema(thing: Plain) -> str:
    """A type that JSON Schema doesn't know."""
    return ""


async def no_output_schema(number: str) -> Plain:
    """A type that JSON Schema doesn't know."""
    return Plain()


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (plain, "plain must be an async function"),
        (undocumented, "undocumented needs a docstring"),
        (only_sections, "only_sections needs a docstring"),
        (returns_anything, "returns_anything needs a return type"),
        (untyped, "parameter number needs a type"),
        (star, "can't be given by name"),
        (double_star, "can't be given by name"),
        (by_place, "can't be given by name"),
        (no_schema, "no_schema: a type has no JSON Schema"),
        (no_output_schema, "no_output_schema: a type has no JSON Schema"),
    ],
)
def test_a_function_that_can_not_be_a_tool_says_what_to_change(function: Any, what: str) -> None:
    with pytest.raises(ToolDefinitionError, match=what):
        tool(effect="read")(function)


def test_a_name_that_is_no_tool_name_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="refund-order"):
        tool(effect="read", name="refund-order")(undocumented_no_more)


async def undocumented_no_more(number: str) -> str:
    """Documented."""
    return number


@pytest.mark.filterwarnings("error")
async def test_parameters_may_have_names_that_mean_something_to_pydantic() -> None:
    @tool(effect="read")
    async def show(json: str, copy: int, model_config: str, _hidden: bool = True) -> str:
        """Show what was given."""
        return f"{json} {copy} {model_config} {_hidden}"

    arguments = {"json": "a", "copy": 1, "model_config": "b", "_hidden": False}
    assert show.contract.input_schema["properties"].keys() == arguments.keys()
    assert await show.invoke(arguments, CONTEXT) == "a 1 b False"


async def test_a_wrong_argument_is_named_as_the_model_named_it() -> None:
    with pytest.raises(ValueError, match=r"^number: 7 is not of type 'string'$"):
        await Post("Royal").find.invoke({"number": 7}, CONTEXT)


@tool(effect="write", sinks=())
async def ship(to: str, day: date, weights: list[Decimal]) -> str:
    """Ship a parcel."""
    return ""


def test_a_rule_sees_arguments_as_the_tools_own_types() -> None:
    given = {"to": "ada", "day": "2026-01-05", "weights": ["1.50"]}
    context = replace(rule_context(given), tool=ship.contract)
    typed = context.typed(ship)
    assert (typed.to, typed.day, typed.weights) == ("ada", date(2026, 1, 5), [Decimal("1.50")])


def test_arguments_of_another_tool_or_type_make_the_rule_deny() -> None:
    rules = [allow("all", reason="", when=lambda c: c.typed(ship).day > date(2025, 1, 1))]
    fitting = replace(rule_context({"to": "ada", "day": "2026-01-05", "weights": []}), tool=ship.contract)
    assert decide(rules, fitting).verdict == "allow"
    assert decide(rules, replace(fitting, arguments={"to": "ada", "day": "soon"})).verdict == "deny"
    assert decide(rules, rule_context({"to": "ada"})).verdict == "deny"


def test_a_tool_says_which_arguments_are_sinks() -> None:
    @tool(effect="write", sinks=("to", Sink(argument="text", kind="links")), trusted_output=True)
    async def write(to: str, text: str) -> str:
        """Write."""
        return ""

    assert write.contract.sinks == (Sink(argument="to"), Sink(argument="text", kind="links"))
    assert write.contract.trusted_output
    assert ship.contract.sinks == ()


def test_a_sink_that_is_no_argument_is_refused() -> None:
    async def write(to: str) -> str:
        """Write."""
        return ""

    with pytest.raises(ToolDefinitionError, match="the sink 'iban' is no argument of it; there are: to"):
        tool(effect="write", sinks=("iban",))(write)


@pytest.mark.parametrize("price", [0.1, -1, "NaN", "Infinity", "1e7", "0.0000000000001", True])
@pytest.mark.parametrize("field", ["cost_usd", "probe_cost_usd"])
def test_a_price_that_is_no_exact_amount_is_refused_when_the_tool_is_defined(field: str, price: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        ToolOptions(**{field: price})
    unchecked = ToolOptions().model_copy(update={field: price})
    with pytest.raises(ToolDefinitionError, match=field):

        @tool(effect="write", recovery="probe", options=unchecked)
        async def pay(to: str) -> str:
            """Pay somebody."""
            return to


def test_a_local_tool_has_no_price() -> None:
    options = ToolOptions(start_to_close_timeout=timedelta(seconds=1), cost_usd=Decimal("0.1"))
    with pytest.raises(ToolDefinitionError, match="a local tool has no price"):

        @tool(effect="read", local=True, options=options)
        async def look(at: str) -> str:
            """Look."""
            return at
