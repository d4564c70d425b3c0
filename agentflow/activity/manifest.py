"""The ``resolve_manifest`` local activity: what this worker's configuration makes of an agent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from temporalio import activity

from agentflow.activity.outside import OutsideTool
from agentflow.contracts.identity import SignatureTerms
from agentflow.contracts.manifest import Manifest, ManifestRequest
from agentflow.contracts.model import ModelPrice, ModelSpec
from agentflow.contracts.names import RESOLVE_MANIFEST_ACTIVITY
from agentflow.contracts.rules import Tier
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.idempotency import run_root
from agentflow.core.jwks import checked_keys
from agentflow.errors import AgentflowError, UnknownModelError
from agentflow.ports.approvers import ApproverSource
from agentflow.ports.prices import PriceBook
from agentflow.telemetry.logs import failure
from agentflow.version import installed_version

_LOG = structlog.get_logger("agentflow")

IMPORT_CHECK_SECONDS = 5.0
"""For looking whether a tool's source is as it was imported, while a run begins."""

FrozenFor = Callable[[str, str], Awaitable[tuple[str, ...]]]
"""Answers the freezes that concern an agent and a tenant."""


def _no_aliases() -> Mapping[str, str]:
    return {}


def _no_contexts() -> Mapping[str, int]:
    return {}


@dataclass(frozen=True)
class ModelRegistry:
    """The models of a worker: what aliases stand for, and which need a constrained decision."""

    prices: PriceBook
    aliases: Mapping[str, str] = field(default_factory=_no_aliases)
    """Alias to ``provider:model``; agents name ``default`` unless they say otherwise."""
    constrained: frozenset[str] = frozenset()
    """``provider:model`` names without (good) tool calling of their own."""
    context_tokens: Mapping[str, int] = field(default_factory=_no_contexts)
    """Context windows by ``provider:model``, where the price book doesn't know them or they are smaller."""

    def resolve(self, name: str) -> ModelSpec:
        """A model by name or alias, with its price.

        Raises:
            UnknownModelError: the alias or the price is unknown; the text says what to configure.
        """
        model = self.aliases.get(name, name)
        if ":" not in model:
            raise UnknownModelError(
                f"model {model!r} is neither provider:model nor an alias of this worker; "
                f"set aliases={{{model!r}: 'provider:model'}} in ModelRegistry"
            )
        price: ModelPrice | None = self.prices.price(model)
        if price is None:
            raise UnknownModelError(
                f"the price of {model} is unknown, so its cost can't be bounded; give one in the worker's "
                f"price book: prices={{{model!r}: ModelPrice(input_usd_per_mtok=…, output_usd_per_mtok=…)}}"
            )
        calling = "constrained" if model in self.constrained else "native"
        context = self.context_tokens.get(model) or self.prices.context_tokens(model)
        return ModelSpec(name=model, price=price, tool_calling=calling, context_tokens=context)


class ManifestActivity:
    """Resolves manifests for all runs of a worker."""

    def __init__(
        self,
        registry: ModelRegistry,
        tier: Tier,
        source_hashes: Mapping[str, Sha256],
        *,
        search_attributes: bool,
        max_payload_bytes: int,
        frozen_for: FrozenFor | None = None,
        output_guard: bool = False,
        approvers: ApproverSource | None = None,
        signature_terms: SignatureTerms | None = None,
        imported: Mapping[str, OutsideTool] | None = None,
        notifies: bool = False,
        redacts: bool = False,
    ) -> None:
        self._registry = registry
        self._tier: Tier = tier
        self._source_hashes = source_hashes
        self._search_attributes = search_attributes
        self._max_payload_bytes = max_payload_bytes
        self._frozen_for = frozen_for
        self._output_guard = output_guard
        self._approvers = approvers
        self._signature_terms = (signature_terms or SignatureTerms()) if approvers else None
        self._imported = dict(imported or {})
        self._notifies = notifies
        self._redacts = redacts

    @activity.defn(name=RESOLVE_MANIFEST_ACTIVITY)
    async def resolve_manifest(self, request: ManifestRequest) -> Manifest:
        """Pin a run. An unknown model or price is part of the answer: the run is then denied."""
        info = activity.info()
        models: list[ModelSpec] = []
        problem: str | None = None
        for name in request.models:
            try:
                models.append(self._registry.resolve(name))
            except UnknownModelError as error:
                problem = str(error)
        problem = problem or await self._changed_import(request)
        content = {
            "source": self._source_hashes.get(request.agent),
            "tools": request.tools_hash,
            "models": [model.model_dump(mode="json") for model in models],
        }
        return Manifest(
            agent=request.agent,
            release=request.release,
            release_id=f"{request.release.version}+{sha256_of(content)[:12]}",
            tier=self._tier,
            rules=request.rules,
            rules_in_briefs=True,
            models=tuple(models),
            problem=problem,
            frozen=await self._frozen(request),
            approver_keys=checked_keys(await self._approvers.keys()) if self._approvers else None,
            signature_terms=self._signature_terms,
            imported=request.imported,
            root=run_root(info.namespace, info.workflow_id or ""),
            search_attributes=self._search_attributes,
            lists_approvals=self._search_attributes,
            notifies=self._notifies,
            redacts=self._redacts,
            output_guard=self._output_guard,
            max_payload_bytes=self._max_payload_bytes,
            agentflow_version=installed_version(),
        )

    async def _changed_import(self, request: ManifestRequest) -> str | None:
        """How what an imported tool is from differs from what was imported, if this worker can tell.

        A server that can't be asked now may come back before it is called: each call looks again.
        """
        # One that this worker doesn't have is another pool's, which looks at each call.
        tools = {name: self._imported[name] for name in request.imported if name in self._imported}
        for name, tool in tools.items():
            if tool.contract.import_digest != request.imported[name]:
                return f"this worker carries out another import of {name} than the agent has"
        found = await asyncio.gather(*(_drift(tool) for tool in tools.values()))
        return next(
            (f"{name}: {changed}" for name, changed in zip(tools, found, strict=True) if changed), None
        )

    async def _frozen(self, request: ManifestRequest) -> tuple[str, ...]:
        """The freezes that hold. If the server can't tell, the run doesn't begin: the activity is retried."""
        if self._frozen_for is None or not request.writes:
            return ()
        return await self._frozen_for(request.agent, request.tenant)


async def _drift(tool: OutsideTool) -> str | None:
    try:
        async with asyncio.timeout(IMPORT_CHECK_SECONDS):
            return await tool.drift(tool.contract)
    except (AgentflowError, TimeoutError) as error:
        _LOG.warning("source of a tool not checked", tool=tool.contract.name, **failure(error))
        return None
