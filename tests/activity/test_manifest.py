from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.manifest import ManifestActivity, ModelRegistry, keys_of
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.manifest import Manifest, ManifestRequest, Release
from agentflow.contracts.model import ModelPrice
from agentflow.contracts.rules import RuleSetName
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.errors import ConfigurationError, LedgerError, UnknownModelError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS, FixedPrices
from tests.activity.outside import environment

CHEAP = ModelPrice(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4))
DEAR = ModelPrice(input_usd_per_mtok=Decimal(10), output_usd_per_mtok=Decimal(40))
REGISTRY = ModelRegistry(
    prices=FixedPrices({"lab:small": CHEAP, "lab:large": DEAR}),
    aliases={"default": "lab:large", "lost": "lab:unpriced"},
    constrained=frozenset({"lab:small"}),
)


async def resolved(
    *models: str,
    registry: ModelRegistry = REGISTRY,
    sources: Mapping[str, Sha256] | None = None,
    tools: str = "tools",
    version: str = "7",
) -> Manifest:
    request = ManifestRequest(
        agent="Refunds",
        models=models,
        release=Release(version=version),
        tools_hash=sha256_of(tools),
        rules=RuleSetName(name="refunds", version="3", hash=sha256_of("rules")),
        chain="first",
    )
    made = ManifestActivity(
        registry, "staging", sources or {}, search_attributes=False, max_payload_bytes=1_000
    )
    return await environment().run(made.resolve_manifest, request)


async def test_models_are_pinned_with_their_prices_in_order() -> None:
    manifest = await resolved("default", "lab:small")
    assert [(model.name, model.price, model.tool_calling) for model in manifest.models] == [
        ("lab:large", DEAR, "native"),
        ("lab:small", CHEAP, "constrained"),
    ]
    assert manifest.rules == RuleSetName(name="refunds", version="3", hash=sha256_of("rules"))
    assert (manifest.tier, manifest.search_attributes, manifest.problem) == ("staging", False, None)


@pytest.mark.parametrize(("name", "why"), [("nobody", "nor an alias"), ("lost", "the price of lab:unpriced")])
async def test_an_unknown_alias_or_price_is_a_problem_that_says_what_to_configure(
    name: str, why: str
) -> None:
    manifest = await resolved("default", name)
    assert manifest.problem is not None
    assert why in manifest.problem
    with pytest.raises(UnknownModelError, match=why):
        REGISTRY.resolve(name)


async def test_the_release_covers_source_tools_models_and_prices() -> None:
    dearer = ModelRegistry(prices=FixedPrices({"lab:large": CHEAP}), aliases={"default": "lab:large"})
    releases = [
        (await made).release_id
        for made in (
            resolved("default"),
            resolved("lab:small"),
            resolved("default", registry=dearer),
            resolved("default", tools="other tools"),
            resolved("default", sources={"Refunds": sha256_of("source")}),
            resolved("default", version="8"),
        )
    ]
    assert len(set(releases)) == len(releases)
    assert (await resolved("default")).release_id == releases[0]
    assert releases[0].startswith("7+")


@pytest.mark.parametrize("can_be_read", [True, False])
async def test_what_the_ledger_says_is_frozen_is_known_from_the_start_and_a_silent_ledger_keeps_no_run_from_reading(
    can_be_read: bool,
) -> None:
    async def frozen_for(agent: str, tenant: str) -> tuple[str, ...]:
        if not can_be_read:
            raise LedgerError("it is down")
        return (f"agent:{agent}", f"tenant:{tenant}")

    request = ManifestRequest(
        agent="Refunds",
        models=("default",),
        release=Release(version="7"),
        tools_hash=sha256_of("tools"),
        rules=RuleSetName(name="refunds", version="3", hash=sha256_of("rules")),
        chain="first",
        writes=True,
        tenant="acme",
    )
    made = ManifestActivity(
        REGISTRY, "staging", {}, search_attributes=False, max_payload_bytes=1_000, frozen_for=frozen_for
    )
    manifest = await environment().run(made.resolve_manifest, request)
    assert manifest.frozen == (("agent:Refunds", "tenant:acme") if can_be_read else ())


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], "not list"),
        (None, "not NoneType"),
        ((), "not an empty one"),
        (("ann",), "not one with str in it"),
        ((ApproverKey.model_construct(kid=7),), "not one with an ApproverKey that is not valid in it"),
    ],
)
async def test_what_a_source_of_keys_answered_in_their_place_is_said(found: Any, says: str) -> None:
    class Source:
        async def keys(self) -> Any:
            return found

    with pytest.raises(ConfigurationError) as raised:
        await keys_of(Source())
    assert str(raised.value) == f"Source.keys() is to answer a tuple of ApproverKeys, {says}"


@pytest.mark.parametrize("is_first", [True, False])
async def test_only_the_first_execution_of_a_run_is_pinned_to_its_workers_ledger_at_once(
    is_first: bool,
) -> None:
    ledger, place = MemoryLedger(), environment()
    request = ManifestRequest(
        agent="Refunds",
        models=("default",),
        release=Release(version="7"),
        tools_hash=sha256_of("tools"),
        rules=RuleSetName(name="refunds", version="3", hash=sha256_of("rules")),
        chain=str(place.info.workflow_run_id) if is_first else "the first one",
    )
    made = ManifestActivity(
        REGISTRY,
        "staging",
        {},
        search_attributes=False,
        max_payload_bytes=1_000,
        ledger=LedgerCalls(ledger, TEST_SEAL_KEYS),
    )
    manifest = await place.run(made.resolve_manifest, request)
    assert manifest.ledger == ((await ledger.identity()).id if is_first else None)
