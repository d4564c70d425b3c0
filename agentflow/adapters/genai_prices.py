"""Prices from the table that comes with the genai-prices package: no network, no updates on the way."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from importlib.util import find_spec

from agentflow.contracts.model import ModelPrice
from agentflow.core.model_names import forms
from agentflow.errors import MissingExtraError

if find_spec("genai_prices") is None:
    raise MissingExtraError("agentflow.adapters.genai_prices", "openai")

import genai_prices
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ModelInfo, TieredPrices
from genai_prices.types import ModelPrice as ListedPrice

SOURCE = f"genai-prices {genai_prices.__version__}"
"""What the auditor reads beside a price."""

# pydantic-ai's names of providers, where genai-prices has another. Any other name must be the same in
# both: genai-prices' own guess takes whatever has "openai" in its name for OpenAI.
_PROVIDERS = {
    "openai-chat": "openai",
    "openai-responses": "openai",
    "azure-responses": "azure",
    "bedrock": "aws",
    "bedrock-mantle": "aws",
    "google-cloud": "google",
    "google-gla": "google",
    "google-vertex": "google",
    "xai": "x-ai",
}
_REGION = re.compile(r"\A(?:(?:us|us-gov|eu|apac|au|jp|in|ca|global|regional)\.)?(?:anthropic\.)?")
"""How Bedrock's inference profiles begin, and the table's names for them."""
_HOURS_AHEAD = 24
# Of dollars for a million tokens: then a token's price is exact in the twelve places that money has here.
_PLACES = Decimal("0.000001")


class GenaiPriceBook:
    """A ``PriceBook`` of list prices.

    A model is one of the table's by its name there, or by that with a version or a date at its end, as
    providers add them. What else begins or looks alike has no price: unknown, never a guess.

    A model at an address of your own costs what you say it does, even nothing: give it in ``overrides``.

    Args:
        overrides: Prices by ``provider:model``. They go before the table's.
        now: The clock; prices change with the date, and at some providers with the hour.
    """

    def __init__(
        self,
        overrides: Mapping[str, ModelPrice] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._overrides = dict(overrides or {})
        self._now = now
        # Not get_snapshot(), which another part of the process may have replaced from the network.
        self._table = DataSnapshot(providers=providers, from_auto_update=False)

    def price(self, model: str) -> ModelPrice | None:
        """Price of ``provider:model``: the dearest tier, and the dearest hour of the day to come."""
        if model in self._overrides:
            return self._overrides[model]
        found = self._find(model)
        if found is None:
            return None
        now = self._now()
        listed = [found.get_prices(now + timedelta(hours=hour)) for hour in range(_HOURS_AHEAD)]
        return _dearest(listed)

    def context_tokens(self, model: str) -> int | None:
        """The context window that the table has for ``provider:model``."""
        found = None if model in self._overrides else self._find(model)
        return found.context_window or None if found else None

    def _find(self, model: str) -> ModelInfo | None:
        name, _, reference = model.partition(":")
        name = _PROVIDERS.get(name, name)
        provider = next((p for p in self._table.providers if p.id == name), None)
        if provider is None or not reference:
            return None
        try:
            found = self._table.find_provider_model(reference, provider, None, None)[1]
        except LookupError:
            return None
        return found if _is_named(found, reference) else None


def _is_named(found: ModelInfo, reference: str) -> bool:
    """Whether a name is the model's, or that with a version or a date: the table takes what begins alike."""
    texts = [text.lower().strip("/-@.") for text in (found.id, *_texts(found.match))]
    known = {*texts, *forms(found.id.lower())}
    known |= {_REGION.sub("", name) for name in known}
    plain = reference.lower()
    return not known.isdisjoint({*forms(plain), *forms(_REGION.sub("", plain))})


def _texts(clause: object) -> Iterable[str]:
    """The names that a clause of the table compares with. Patterns say of no name that it is the model's."""
    for kind in ("equals", "starts_with", "contains", "ends_with"):
        if isinstance(text := getattr(clause, kind, None), str):
            yield text
    for kind in ("or_", "and_"):
        for inner in getattr(clause, kind, ()):
            yield from _texts(inner)


def _dearest(listed: Iterable[ListedPrice]) -> ModelPrice | None:
    prices = list(listed)

    def dearest(*keys: str) -> Decimal | None:
        top = max(_top(getattr(price, key)) for price in prices for key in keys)
        # A zero in the table stands for a trial, or for what nobody filled in: unknown, never free.
        return _exact(top) if top else None

    input_price, output_price = dearest("input_mtok"), dearest("output_mtok", "output_reasoning_mtok")
    if input_price is None or output_price is None:
        return None
    return ModelPrice(
        input_usd_per_mtok=input_price,
        output_usd_per_mtok=output_price,
        cache_read_usd_per_mtok=dearest("cache_read_mtok"),
        cache_write_usd_per_mtok=dearest("cache_write_mtok"),
        request_usd=_exact((dearest("requests_kcount") or Decimal(0)) / 1000),
        source=SOURCE,
    )


def _top(price: Decimal | TieredPrices | None) -> Decimal:
    if isinstance(price, TieredPrices):
        return max([price.base, *(tier.price for tier in price.tiers)])
    return price or Decimal(0)


def _exact(usd: Decimal) -> Decimal:
    # The table has prices that went through a float, such as 0.18000000000000002.
    rounded = usd.quantize(_PLACES, ROUND_CEILING)
    return usd if usd == rounded else rounded
