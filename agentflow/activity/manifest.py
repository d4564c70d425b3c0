"""The ``resolve_manifest`` local activity: what this worker's configuration makes of an agent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import structlog
from temporalio import activity

from agentflow.activity.bounded import answered, close_unawaited, in_bounded_time
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outside import OutsideTool
from agentflow.contracts.identity import ApproverKey, SignatureTerms
from agentflow.contracts.manifest import Manifest, ManifestRequest, SpentBefore
from agentflow.contracts.model import ModelPrice, ModelSpec
from agentflow.contracts.requester import RequesterPolicy
from agentflow.contracts.rules import Tier
from agentflow.contracts.wire import Sha256, exactly, sha256_of
from agentflow.core.idempotency import run_root
from agentflow.core.jwks import checked_keys
from agentflow.errors import (
    AgentflowError,
    ConfigurationError,
    LedgerError,
    OutsideError,
    UnknownModelError,
)
from agentflow.ports.approvers import ApproverSource
from agentflow.ports.prices import PriceBook
from agentflow.ports.requesters import RequesterSource
from agentflow.telemetry.logs import failure
from agentflow.version import installed_version

_LOG = structlog.get_logger("agentflow")

IMPORT_CHECK_SECONDS = 5.0
"""For looking whether a tool's source is as it was imported, while a run begins."""

PRICE_SECONDS = 5.0
"""For one question to the price book."""
KEYS_SECONDS = 10.0
"""For the approvers' keys."""

FrozenFor = Callable[[str, str], Awaitable[tuple[str, ...]]]
"""Answers the freezes that concern an agent and a tenant."""

TriesBefore = Callable[[str, str], Awaitable[SpentBefore]]
"""Answers, for a workflow id and the run id of an execution that is a later try, what those before it spent.
Raises ``OutsideError`` where asking again may help."""


def _no_aliases() -> Mapping[str, str]:
    return {}


def _no_names() -> Mapping[str, Sequence[str]]:
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
    answers_as: Mapping[str, Sequence[str]] = field(default_factory=_no_names)
    """Names under which providers answer for ``provider:model``, besides its own with a version or a date: of
    a deployment with a name of its own, of a gateway. Another model than those is charged at the dearer
    price, or at the worst case where that is unknown."""

    def __post_init__(self) -> None:
        """Refuse what isn't a registry.

        Raises:
            ConfigurationError: something in it is of another type.
        """
        if not callable(getattr(self.prices, "price", None)) or isinstance(self.prices, type):
            raise ConfigurationError("ModelRegistry's prices= is a price book, such as GenaiPriceBook()")
        for alias, model in self.aliases.items():
            if not _is_model(model):
                raise ConfigurationError(
                    f"the alias {alias!r} stands for {model!r}, not for a provider:model"
                )
        if isinstance(cast(object, self.constrained), str) or not all(map(_is_model, self.constrained)):
            raise ConfigurationError("ModelRegistry's constrained= is a set of provider:model names")
        for model, tokens in self.context_tokens.items():
            if not _is_model(model) or not _is_count(tokens):
                raise ConfigurationError(f"context_tokens of {model!r} is {tokens!r}, not a number of tokens")
        for model, names in self.answers_as.items():
            are_names = not isinstance(cast(object, names), str) and all(map(_is_name, names))
            if not _is_model(model) or not are_names:
                raise ConfigurationError(f"answers_as of {model!r} is {names!r}, not a list of model names")

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
        price = self._price(model)
        if price is None:
            raise UnknownModelError(
                f"the price of {model} is unknown, so its cost can't be bounded; give one in the worker's "
                f"price book: prices={{{model!r}: ModelPrice(input_usd_per_mtok=…, output_usd_per_mtok=…)}}"
            )
        calling = "constrained" if model in self.constrained else "native"
        context = self.context_tokens.get(model) or self._context(model)
        return ModelSpec(
            name=model,
            price=price,
            tool_calling=calling,
            context_tokens=context,
            answers_as=tuple(self.answers_as.get(model, ())),
        )

    def price_of_answer(self, asked: str, answered: str) -> ModelPrice | None:
        """The price of a model that answered for another one, by the provider's name for it; or ``None``."""
        try:
            return self._price(f"{asked.partition(':')[0]}:{answered.removeprefix('models/')}")
        except UnknownModelError:
            return None

    def _price(self, model: str) -> ModelPrice | None:
        """What the price book says, if it is a price."""
        found = self._asked(self.prices.price, model)
        if found is None:
            return None
        if price := exactly(ModelPrice, found):
            return price
        close_unawaited(found)
        raise UnknownModelError(f"the price book's price of {model} is no ModelPrice with amounts from 0")

    def _context(self, model: str) -> int | None:
        found = self._asked(self.prices.context_tokens, model)
        if found is None or _is_count(found):
            return cast(int | None, found)
        close_unawaited(found)
        raise UnknownModelError(f"the price book's context_tokens of {model} is no number of tokens")

    def _asked(self, question: Callable[[str], object], model: str) -> object:
        try:
            return in_bounded_time(lambda: question(model), PRICE_SECONDS)
        except Exception as error:
            _LOG.warning("price book failed", model=model, **failure(error))
            raise UnknownModelError(f"the price book failed for {model}: {type(error).__name__}") from None


def _is_model(name: object) -> bool:
    return isinstance(name, str) and all(name.partition(":"))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


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
        requesters: RequesterSource | None = None,
        ledger: LedgerCalls | None = None,
        tries_before: TriesBefore | None = None,
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
        self._requesters = requesters
        self._ledger = ledger
        self._tries_before = tries_before

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
            pinned=request.pinned,
            task_input=request.task_input,
            rules_in_briefs=True,
            models=tuple(models),
            problem=problem,
            was_reset=info.workflow_run_id != request.execution,
            spent_before=await self._spent_before() if request.tried_before else None,
            frozen=await self._frozen(request),
            approver_keys=await keys_of(self._approvers) if self._approvers else None,
            signature_terms=self._signature_terms,
            requesters=await self._policy(),
            imported=request.imported,
            root=run_root(info.namespace, info.workflow_id or ""),
            chain=request.chain,
            earlier_effects=request.earlier_effects,
            ledger=await self._ledger_id(request),
            search_attributes=self._search_attributes,
            lists_approvals=self._search_attributes,
            notifies=self._notifies,
            redacts=self._redacts,
            output_guard=self._output_guard,
            max_payload_bytes=self._max_payload_bytes,
            agentflow_version=installed_version(),
        )

    async def _spent_before(self) -> SpentBefore:
        """Spending of the tries before. While it can't be read, no try begins: its budget would be whole."""
        if self._tries_before is None:
            return SpentBefore(problem="this worker can't read what Temporal's tries before this one spent")
        info = activity.info()
        return await self._tries_before(info.workflow_id or "", info.workflow_run_id or "")

    async def _policy(self) -> RequesterPolicy | None:
        """Whose word is taken for who asked. What is no policy is an error: no run begins without one."""
        if self._requesters is None:
            return None
        said = cast(object, await self._requesters.policy())
        if not isinstance(said, RequesterPolicy):
            who = type(self._requesters).__name__
            raise ConfigurationError(f"{who}.policy() answered {type(said).__name__}, not RequesterPolicy")
        return said

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

    async def _ledger_id(self, request: ManifestRequest) -> str | None:
        """The ledger that the run's writes are recorded in. If it can't say so now, the first write asks.

        So it does in an execution that isn't the run's first, as after a reset: one before may be pinned.
        """
        is_first = activity.info().workflow_run_id == request.chain
        if self._ledger is None or not request.writes or not is_first:
            return None
        try:
            return (await self._ledger.identity()).id
        except LedgerError as error:
            _LOG.warning("the ledger can't say which it is: no write runs until it can", **failure(error))
            return None

    async def _frozen(self, request: ManifestRequest) -> tuple[str, ...]:
        """The freezes that hold, so that the rules deny what would be refused anyway: each write asks again.

        A ledger that can't be read therefore keeps no run from its reads.
        """
        if self._frozen_for is None or not request.writes:
            return ()
        try:
            return await self._frozen_for(request.agent, request.tenant)
        except LedgerError as error:
            _LOG.warning("the ledger can't say what is frozen: no write runs until it can", **failure(error))
            return ()


async def keys_of(source: ApproverSource) -> tuple[ApproverKey, ...]:
    """The approvers' keys, if that is what a source answers. ``None`` would let anybody decide.

    Raises:
        ConfigurationError: it answers something else, a key that can't be used, or the same ``kid`` twice.
        OutsideError: it failed, or takes too long; asking again may help.
    """
    name = type(source).__name__
    try:
        found: object = await answered(source.keys, KEYS_SECONDS)
    except AgentflowError:
        raise
    except Exception as error:
        raise OutsideError(f"the approvers' keys can't be told: {name}: {type(error).__name__}") from error
    listed = cast(tuple[object, ...], found) if type(found) is tuple else ()
    keys = tuple(key for one in listed if (key := exactly(ApproverKey, one)))
    if not keys or len(keys) < len(listed):
        close_unawaited(found)
        raise ConfigurationError(
            f"{name}.keys() is to answer a tuple of ApproverKeys, not {_no_keys(found, listed)}"
        )
    return checked_keys(keys)


def _no_keys(found: object, listed: Sequence[object]) -> str:
    if type(found) is not tuple:
        return _kind(found)
    if not listed:
        return "an empty one"
    wrong = next(one for one in listed if exactly(ApproverKey, one) is None)
    said = "an ApproverKey that is not valid" if type(wrong) is ApproverKey else _kind(wrong)
    return f"one with {said} in it"


async def _drift(tool: OutsideTool) -> str | None:
    try:
        changed = cast(object, await answered(lambda: tool.drift(tool.contract), IMPORT_CHECK_SECONDS))
    except (AgentflowError, TimeoutError) as error:
        _LOG.warning("source of a tool not checked", tool=tool.contract.name, **failure(error))
        return None
    except Exception as error:
        return f"its check failed: {type(error).__name__}"
    if changed is None:
        return None
    close_unawaited(changed)
    if isinstance(changed, str):
        return changed or "it differs from what was imported"
    return f"its check answered {_kind(changed)}"


def _kind(value: object) -> str:
    return type(value).__name__
