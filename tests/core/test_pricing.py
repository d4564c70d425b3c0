from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.budget import Spend, Usage
from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agentflow.contracts.model import ModelPrice, ToolOffer
from agentflow.contracts.wire import ToolCallId
from agentflow.core.pricing import cost_usd, input_token_bound, worst_case
from agentflow.core.transcript import text_hash
from tests.core.strategies import messages

per_million = st.decimals(min_value=0, max_value=500, places=4) | st.decimals(
    min_value=0, max_value=1, places=12
)
prices = st.builds(
    ModelPrice,
    input_usd_per_mtok=per_million,
    output_usd_per_mtok=per_million,
    cache_read_usd_per_mtok=st.none() | per_million,
    cache_write_usd_per_mtok=st.none() | per_million,
    request_usd=st.decimals(min_value=0, max_value=1, places=6),
)


@st.composite
def usages_within(draw: st.DrawFn, most_in: int, most_out: int) -> Usage:
    """Cached tokens are parts of the input, as the providers' adapters count them."""
    tokens_in, tokens_out = draw(st.integers(0, most_in)), draw(st.integers(0, most_out))
    read = draw(st.integers(0, tokens_in))
    return Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cache_read_input_tokens=read,
        cache_write_input_tokens=draw(st.integers(0, tokens_in - read)),
    )


@given(st.data(), prices, st.integers(0, 200_000), st.integers(0, 32_000))
def test_a_call_never_costs_more_than_its_worst_case(
    data: st.DataObject, price: ModelPrice, most_in: int, most_out: int
) -> None:
    usage = data.draw(usages_within(most_in, most_out))
    assert cost_usd(usage, price) <= worst_case(price, most_in, most_out).cost_usd


@given(prices, st.integers(0, 200_000), st.integers(0, 32_000))
def test_what_a_call_cost_can_be_charged_whatever_the_price(
    price: ModelPrice, given_in: int, out: int
) -> None:
    cost = cost_usd(Usage(input_tokens=given_in, output_tokens=out), price)
    assert Spend(cost_usd=cost).cost_usd == cost


def test_what_is_too_small_to_charge_is_charged_as_the_smallest_amount() -> None:
    price = ModelPrice(input_usd_per_mtok=Decimal("1e-12"), output_usd_per_mtok=Decimal(0))
    assert cost_usd(Usage(input_tokens=1), price) == Decimal("1e-12")


def test_each_kind_of_token_has_its_own_price() -> None:
    price = ModelPrice(
        input_usd_per_mtok=Decimal(10),
        output_usd_per_mtok=Decimal(40),
        cache_read_usd_per_mtok=Decimal(1),
        cache_write_usd_per_mtok=Decimal(12),
        request_usd=Decimal("0.01"),
    )
    usage = Usage(
        input_tokens=600_000,
        output_tokens=50_000,
        cache_read_input_tokens=300_000,
        cache_write_input_tokens=200_000,
    )
    fresh, read, write, out = Decimal("1.00"), Decimal("0.30"), Decimal("2.40"), Decimal("2.00")
    assert cost_usd(usage, price) == fresh + read + write + out + Decimal("0.01")


def test_cached_tokens_without_a_price_of_their_own_cost_as_input() -> None:
    price = ModelPrice(input_usd_per_mtok=Decimal(10), output_usd_per_mtok=Decimal(40))
    usage = Usage(input_tokens=100, cache_read_input_tokens=60, cache_write_input_tokens=40)
    assert cost_usd(usage, price) == Decimal("0.001")


def test_a_free_cache_read_costs_nothing() -> None:
    price = ModelPrice(
        input_usd_per_mtok=Decimal(10), output_usd_per_mtok=Decimal(40), cache_read_usd_per_mtok=Decimal(0)
    )
    assert cost_usd(Usage(input_tokens=100, cache_read_input_tokens=100), price) == 0


def test_the_worst_case_takes_the_dearest_input_price() -> None:
    price = ModelPrice(
        input_usd_per_mtok=Decimal(10),
        output_usd_per_mtok=Decimal(0),
        cache_write_usd_per_mtok=Decimal("12.5"),
    )
    assert worst_case(price, 1_000_000, 0) == Spend(
        cost_usd=Decimal("12.5"), input_tokens=1_000_000, model_calls=1
    )


def call_of(tool: str, argument: str) -> AssistantMessage:
    wanted = ToolCall(id=ToolCallId("call_1"), tool=tool, arguments={"argument": argument})
    return AssistantMessage(tool_calls=(wanted,))


def told(content: str, tool: str) -> ToolMessage:
    return ToolMessage(
        tool_call_id=ToolCallId("call_1"), tool=tool, content_hash=text_hash(content), content=content
    )


def offer(name: str = "", description: str = "", schema: str = "") -> ToolOffer:
    return ToolOffer(name=name, description=description, input_schema={"title": schema})


# Each place where a text may stand in a request.
PLACES: dict[str, Callable[[str], int]] = {
    "instructions": lambda text: input_token_bound(text, (), (), None),
    "person": lambda text: input_token_bound("", [UserMessage(text=text)], (), None),
    "model": lambda text: input_token_bound("", [AssistantMessage(text=text)], (), None),
    "called tool": lambda text: input_token_bound("", [call_of(text, "")], (), None),
    "argument": lambda text: input_token_bound("", [call_of("", text)], (), None),
    "result": lambda text: input_token_bound("", [told(text, "")], (), None),
    "result's tool": lambda text: input_token_bound("", [told("", text)], (), None),
    "offer": lambda text: input_token_bound("", (), [offer(name=text)], None),
    "description": lambda text: input_token_bound("", (), [offer(description=text)], None),
    "schema": lambda text: input_token_bound("", (), [offer(schema=text)], None),
    "output": lambda text: input_token_bound("", (), (), {"title": text}),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@given(text=st.text())
def test_the_token_bound_counts_a_token_for_each_byte_of_a_text(
    place: Callable[[str], int], text: str
) -> None:
    # Against the bound of the same request without the text, so that no allowance hides a text left out.
    assert place(text) - place("") >= len(text.encode())


@given(st.lists(messages, max_size=4), messages)
def test_every_message_raises_the_token_bound(conversation: list[Message], more: Message) -> None:
    before = input_token_bound("", conversation, (), None)
    assert input_token_bound("", [*conversation, more], (), None) > before
