"""A plugin around a scripted model, ready for a test."""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentflow.activity.manifest import ModelRegistry
from agentflow.activity.worker_tool import WorkerTool
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.model import ModelPrice
from agentflow.contracts.rules import Tier
from agentflow.core.seal import SealKeys
from agentflow.plugin import AgentflowPlugin
from agentflow.ports.blobs import BlobStore
from agentflow.ports.ledger import EffectLedger
from agentflow.ports.model import ModelClient

TEST_MODEL = "scripted:model"
TEST_SEAL_KEYS = SealKeys("test", {"test": hashlib.sha256(b"agentflow.testing").digest()})
"""The same in every process of a test. Known to everybody, so no worker but a test's may use it."""
TEST_PRICE = ModelPrice(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4))
"""A dollar for a million tokens in, four for a million out."""


class FixedPrices:
    """A price book that knows what it was given."""

    def __init__(self, prices: Mapping[str, ModelPrice]) -> None:
        self._prices = prices

    def price(self, model: str) -> ModelPrice | None:
        """The price, or ``None``."""
        return self._prices.get(model)

    def context_tokens(self, model: str) -> int | None:
        """Nothing is known of it."""
        return None


def scripted_plugin(
    model: ModelClient,
    *,
    tools: Sequence[WorkerTool] = (),
    directory: Path | None = None,
    ledger: EffectLedger | None = None,
    blobs: BlobStore | None = None,
    tier: Tier = "dev",
    prices: Mapping[str, ModelPrice] | None = None,
    constrained: frozenset[str] = frozenset(),
    context_tokens: Mapping[str, int] | None = None,
    seals: SealKeys = TEST_SEAL_KEYS,
    **settings: Any,
) -> AgentflowPlugin:
    """A plugin whose alias ``default`` is the scripted model, at ``TEST_PRICE``.

    Args:
        model: Usually a ``ScriptedModel``.
        tools: Tools the worker carries out.
        directory: Where a SQLite ledger is kept, if no ledger is given.
        ledger: Another ledger.
        blobs: Another blob store than memory.
        tier: The worker's tier.
        prices: More prices, by ``provider:model``.
        constrained: Models without tool calling.
        context_tokens: Context windows, by ``provider:model``.
        seals: Other keys than ``TEST_SEAL_KEYS``.
        **settings: Anything else that ``AgentflowPlugin`` takes.
    """
    registry = ModelRegistry(
        prices=FixedPrices({TEST_MODEL: TEST_PRICE, **(prices or {})}),
        aliases={"default": TEST_MODEL},
        constrained=constrained,
        context_tokens=context_tokens or {},
    )
    return AgentflowPlugin(
        models=registry,
        model_client=model,
        tools=tools,
        ledger=ledger or (SQLiteLedger(directory / "ledger.sqlite") if directory else None),
        blobs=blobs,
        tier=tier,
        seals=seals,
        **settings,
    )
