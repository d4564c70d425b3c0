"""What an answer is charged: reports that can't be are charged at the worst case."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.budget import Budget, Spend, Usage
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.model import ChatResponse, ModelPrice, ModelSpec
from agentflow.contracts.wire import ToolCallId
from agentflow.core.pricing import cost_usd, worst_case
from agentflow.core.usage import Answered, charge, contradictions, least_tokens

PRICE = ModelPrice(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4))
DEAR = ModelPrice(input_usd_per_mtok=Decimal(10), output_usd_per_mtok=Decimal(40))
WORST = worst_case(PRICE, 10_000, 500)
TEXT = AssistantMessage(text="A sentence of an answer that goes on for a while. " * 8)
CALLS = AssistantMessage(
    tool_calls=(
        ToolCall(id=ToolCallId("c"), tool="pay", arguments={"account": "alice", "note": "x, y. " * 60}),
    )
)
FINE: dict[str, Any] = {"input_tokens": 900, "output_tokens": 120}


def charged(usage: Usage, message: AssistantMessage = TEXT, prompt_bytes: int = 8_000, **more: Any) -> Any:
    given_ = {"prices": (PRICE,), "other_model": None} | more
    return charge(Answered(usage, message, prompt_bytes, **given_), WORST, Budget())


def test_a_report_that_can_be_is_charged_as_it_is():
    found = charged(Usage(**FINE))
    assert (found.doubts, found.excess, found.possibly_billed_usd) == ((), None, 0)
    assert found.spend.cost_usd == cost_usd(Usage(**FINE), PRICE)


@pytest.mark.parametrize(
    "odd",
    [
        {"output_tokens": 0},
        {"output_tokens": 2},
        {"input_tokens": 0},
        {"input_tokens": 3},
        {"reasoning_output_tokens": 121},
        {"total_tokens": 1_021},
        {"cache_read_input_tokens": 901},
        {"cache_read_input_tokens": 500, "cache_write_input_tokens": 401},
        {"doubt": "the provider reported no usage"},
        {"input_tokens": 0, "output_tokens": 0},
    ],
)
@pytest.mark.parametrize("message", [TEXT, CALLS])
def test_a_report_that_can_not_be_is_charged_at_the_worst_case_and_marked(odd, message):
    found = charged(Usage(**(FINE | odd)), message)
    assert found.spend == WORST
    assert found.possibly_billed_usd == WORST.cost_usd
    assert found.doubts


def test_an_answer_without_a_word_may_have_no_output_tokens():
    assert not charged(Usage(input_tokens=900, output_tokens=0), AssistantMessage()).doubts


def test_a_call_without_arguments_is_no_answer_for_nothing():
    call = ToolCall(id=ToolCallId("c"), tool="look", arguments={})
    assert charged(Usage(input_tokens=900, output_tokens=0), AssistantMessage(tool_calls=(call,))).doubts


def test_a_report_above_the_worst_case_is_charged_as_reported_and_stops_the_run():
    usage = Usage(input_tokens=900, output_tokens=3_500_000)
    found = charged(usage)
    assert found.spend.cost_usd == cost_usd(usage, PRICE) > 14 > WORST.cost_usd
    assert found.excess is not None
    assert "cost_usd" in found.excess


def test_more_tokens_than_were_possible_matter_where_the_budget_limits_them():
    usage, free = (
        Usage(input_tokens=10, output_tokens=501),
        PRICE.model_copy(update={"output_usd_per_mtok": Decimal(0)}),
    )
    answered = Answered(usage, TEXT, 0, (free,))
    worst = worst_case(free, 10_000, 500)
    assert charge(answered, worst, Budget()).excess is None
    assert charge(answered, worst, Budget(output_tokens=10_000)).excess


def test_a_dearer_model_that_answers_is_charged_at_its_price():
    found = charged(Usage(**FINE), prices=(PRICE, DEAR))
    assert found.spend.cost_usd == cost_usd(Usage(**FINE), DEAR)


def test_a_cheaper_model_that_answers_is_charged_at_the_price_of_the_one_that_was_asked():
    assert charged(Usage(**FINE), prices=(DEAR, PRICE)).spend.cost_usd == cost_usd(Usage(**FINE), DEAR)


def test_a_model_of_unknown_price_that_answers_is_charged_at_the_worst_case():
    found = charged(Usage(**FINE), other_model="who-knows")
    assert found.spend == WORST
    assert "who-knows" in found.doubts[0]


FIGURES = st.integers(0, 1_000_000_000)
USAGES = st.builds(
    Usage,
    input_tokens=FIGURES | st.integers(0, 2_000),
    output_tokens=FIGURES | st.integers(0, 600),
    cache_read_input_tokens=FIGURES | st.just(0),
    cache_write_input_tokens=FIGURES | st.just(0),
    reasoning_output_tokens=FIGURES | st.just(0),
    total_tokens=st.none() | FIGURES,
    doubt=st.sampled_from(["", "absent"]),
)


@given(USAGES, st.sampled_from([TEXT, CALLS, AssistantMessage()]), st.integers(0, 10_000))
def test_no_charge_is_below_what_is_reported_nor_in_doubt_below_the_worst_case(usage, message, prompt_bytes):
    found = charged(usage, message, prompt_bytes)
    assert found.spend.cost_usd >= cost_usd(usage, PRICE)
    assert found.spend.model_calls == 1
    if found.doubts:
        assert found.spend.cost_usd >= WORST.cost_usd
    assert (found.spend.cost_usd > WORST.cost_usd) == (found.excess is not None)
    # Any sum of such charges is an amount.
    assert Spend() + found.spend == found.spend


@pytest.mark.parametrize(
    "text",
    [
        "word " * 400,
        "supercalifragilisticexpialidocious" * 20,
        " " * 5_000,
        "\\n" * 5_000,
        "-" * 5_000,
        "ÃÂ" * 64,
        "漢字" * 200,
        '{"a": [1, 2, 3], "b": null}' * 40,
        "😀" * 100,
        "0123456789" * 50,
    ],
)
def test_a_bound_holds_for_the_longest_tokens_of_published_vocabularies(text):
    # A token of cl100k_base or o200k_base has 128 characters at most, and those are repeated ones.
    longest_tokens = -(-len(text) // 128)
    assert (text != "") <= least_tokens(text) <= longest_tokens


@given(st.text(max_size=600), st.text(max_size=600))
def test_a_longer_text_has_no_fewer_tokens_at_least(text, more):
    assert least_tokens(text) <= least_tokens(text + more) <= least_tokens(text) + least_tokens(more)


def test_no_report_of_an_empty_call_is_in_doubt_for_its_size():
    assert contradictions(Usage(input_tokens=1), AssistantMessage()) == ()


@pytest.mark.parametrize(
    ("more", "usd", "in_doubt"),
    [
        ({}, cost_usd(Usage(**FINE), PRICE), False),
        ({"response_model": "model-2025-09-29"}, cost_usd(Usage(**FINE), PRICE), False),
        ({"response_model": "dear", "response_price": DEAR}, cost_usd(Usage(**FINE), DEAR), False),
        ({"response_model": "dear"}, cost_usd(Usage(**FINE), PRICE), True),
    ],
)
def test_whose_price_counts_is_told_by_the_answer_alone(
    more: dict[str, Any], usd: Decimal, in_doubt: bool
) -> None:
    """So that reports of what was spent and the run itself come to the same."""
    asked = ModelSpec(name="made:model", price=PRICE)
    response = ChatResponse(text=TEXT.text, usage=Usage(**FINE), head="0" * 16, **more)
    found = Answered.by(asked, response)
    assert (found.reported_usd, bool(found.doubts)) == (usd, in_doubt)
