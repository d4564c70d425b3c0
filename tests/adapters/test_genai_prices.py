from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import genai_prices.data_snapshot
import genai_prices.update_prices
import pytest
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.models import KnownModelName

from agentflow.adapters.genai_prices import GenaiPriceBook
from agentflow.contracts.budget import Usage
from agentflow.contracts.model import ModelPrice
from agentflow.core.pricing import cost_usd, worst_case

OWN = ModelPrice(input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0), source="our own server")


@pytest.fixture(scope="module")
def book() -> GenaiPriceBook:
    return GenaiPriceBook({"openai:smollm2": OWN, "openai:gpt-5": OWN})


def test_an_override_goes_before_the_table(book):
    assert book.price("openai:gpt-5") == OWN


def test_what_costs_nothing_by_configuration_costs_nothing(book):
    assert book.price("openai:smollm2") == OWN


def test_the_source_names_package_and_version(book):
    price = book.price("anthropic:claude-sonnet-4-5")
    assert price is not None
    assert price.source == f"genai-prices {genai_prices.__version__}"


def test_tiered_prices_count_as_the_dearest_tier(book):
    price = book.price("anthropic:claude-sonnet-4-5")
    assert price is not None
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (Decimal(6), Decimal("22.5"))


def test_reading_and_writing_the_cache_have_their_prices(book):
    price = book.price("anthropic:claude-sonnet-4-5")
    assert price is not None
    assert (price.cache_read_usd_per_mtok, price.cache_write_usd_per_mtok) == (Decimal("0.6"), Decimal("7.5"))


def test_a_price_that_changes_with_the_date_is_that_days():
    before, after = (
        GenaiPriceBook(now=lambda day=day: day).price("openai:o3")
        for day in (datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
    )
    assert before is not None
    assert after is not None
    assert (before.input_usd_per_mtok, after.input_usd_per_mtok) == (Decimal(10), Decimal(2))


def test_a_price_that_changes_with_the_hour_is_the_dearest_of_the_day():
    hours = [datetime(2025, 6, 1, hour, 30, tzinfo=UTC) for hour in range(24)]
    prices = {GenaiPriceBook(now=lambda hour=hour: hour).price("deepseek:deepseek-chat") for hour in hours}
    assert len(prices) == 1


def test_a_price_for_each_request_is_known(book):
    price = book.price("perplexity:sonar")
    assert price is not None
    assert price.request_usd == Decimal("0.012")


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("openai-chat:gpt-5-mini", "openai:gpt-5-mini"),
        ("openai-responses:gpt-5-mini", "openai:gpt-5-mini"),
        ("google-gla:gemini-2.5-pro", "google:gemini-2.5-pro"),
        ("google-vertex:gemini-2.5-pro", "google:gemini-2.5-pro"),
        ("google-cloud:gemini-2.5-pro", "google:gemini-2.5-pro"),
        ("bedrock:us.amazon.nova-lite-v1:0", "aws:us.amazon.nova-lite-v1:0"),
        ("xai:grok-4", "x-ai:grok-4"),
    ],
)
def test_providers_go_by_either_name(book, name, same_as):
    price = book.price(name)
    assert price is not None
    assert price == book.price(same_as)


@pytest.mark.parametrize(
    "name",
    [
        "openai:made-up",
        "nobody:gpt-5",
        # Not OpenAI, whatever genai-prices would guess.
        "openai-compatible:gpt-5",
        "ollama:llama3",
        "gpt-5",
        "openai:",
        "",
        # Input only, and free of charge: neither is a price for an agent.
        "openai:text-embedding-3-small",
        "openrouter:openai/gpt-oss-20b:free",
        # They begin or look like a model of the table.
        "anthropic:claude-3-haiku-but-dear",
        "anthropic:claude-3-haiku-2",
        "anthropic:claude-haiku-4-5-max",
        "openai:gpt-5-nano-xl",
        "google:my-claude-3-haiku",
        "google:gemini-2.5-flash-preview-09-2025-huge",
        "bedrock:eu.anthropic.claude-3-haiku-20240307-v1:0:200k-and-more",
        "bedrock:evil.amazon.nova-lite-v1:0",
        "mistral:magistral-medium-huge",
    ],
)
def test_an_unknown_price_is_none_and_never_zero(book, name):
    assert book.price(name) is None


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("anthropic:claude-3-haiku-20240307", "anthropic:claude-3-haiku"),
        ("anthropic:claude-sonnet-4-5-20250929", "anthropic:claude-sonnet-4-5"),
        ("openai:gpt-4o-2024-08-06", "openai:gpt-4o"),
        ("openai:gpt-4-0613", "openai:gpt-4"),
        ("google:gemini-2.0-flash-001", "google:gemini-2.0-flash"),
        ("google-vertex:claude-sonnet-4-5@20250929", "google:claude-sonnet-4-5"),
        (
            "bedrock:us.anthropic.claude-3-haiku-20240307-v1:0",
            "bedrock:anthropic.claude-3-haiku-20240307-v1:0",
        ),
        ("mistral:mistral-large-2411", "mistral:mistral-large-latest"),
        ("cohere:command-r-08-2024", "cohere:command-r"),
    ],
)
def test_a_version_or_a_date_at_its_end_is_the_same_model(book, name, same_as):
    price = book.price(name)
    assert price is not None
    assert price == book.price(same_as)


def test_every_model_that_pydantic_ai_knows_has_the_price_that_the_table_finds(book):
    table = DataSnapshot(providers=providers, from_auto_update=False)
    for name in get_args(KnownModelName.__value__):
        provider, _, reference = name.partition(":")
        known = next((p for p in providers if p.id == provider), None)
        if known is None:
            continue
        try:
            table.find_provider_model(reference, known, None, None)
        except LookupError:
            assert book._find(name) is None
        else:
            assert book._find(name) is not None


@given(st.sampled_from(providers), st.data(), st.from_regex(r"\A-[a-z]{1,4}x[a-z0-9-]{0,9}\Z"))
def test_no_longer_name_has_the_price_of_a_model(provider, data, more):
    model = data.draw(st.sampled_from(provider.models))
    name = f"{model.id}{more}"
    found = GenaiPriceBook()._find(f"{provider.id}:{name}")
    assert found is None or found.id.lower() == name.lower()


def test_every_price_of_the_table_counts_exactly():
    book = GenaiPriceBook()
    usage = Usage(input_tokens=1, output_tokens=1)
    for provider in providers:
        for model in provider.models:
            if price := book.price(f"{provider.id}:{model.id}"):
                assert price.input_usd_per_mtok > 0 < price.output_usd_per_mtok
                # Twelve places hold any amount that these can make.
                assert worst_case(price, 1, 1).cost_usd >= cost_usd(usage, price)


def test_prices_that_another_part_of_the_process_fetched_are_not_used(monkeypatch):
    fetched = DataSnapshot(providers=[], from_auto_update=True)
    monkeypatch.setattr(genai_prices.data_snapshot, "_custom_snapshot", fetched)
    assert GenaiPriceBook().price("anthropic:claude-sonnet-4-5") is not None


def test_prices_are_never_fetched():
    GenaiPriceBook().price("anthropic:claude-sonnet-4-5")
    assert genai_prices.update_prices._shared_updater.thread is None
