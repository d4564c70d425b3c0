"""Contracts from elsewhere, as an agent's module holds them: fixed when they were imported."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import cast

from pydantic import ValidationError

from agentflow.contracts.sources import McpSource, OpenApiSource, ToolSource
from agentflow.contracts.tools import Effect, Recovery, Sink, ToolContract, ToolOptions
from agentflow.contracts.wire import Json, Sha256, sha256_of
from agentflow.core.answer import describe_errors
from agentflow.errors import ConfigurationError, ToolDefinitionError

NO_DIGEST = Sha256("0" * 64)
"""Of a contract that is being made; ``with_digest`` puts its own there."""
MAX_DIFF_LINES = 60
"""Of a contract that changed: the first lines say enough."""


class ImportedTool:
    """A tool whose contract is from an OpenAPI document or an MCP server.

    ``agentflow tools import`` writes it.

    It stands in an agent's ``tools`` as a function of one's own does. A worker gives it to
    ``OpenApiService`` or ``McpServer``, which carry it out.
    """

    def __init__(self, contract: ToolContract) -> None:
        if contract.source is None:
            raise ToolDefinitionError(f"tool {contract.name} has no source: it was not imported")
        self.contract: ToolContract = contract
        self.source: ToolSource = contract.source

    @classmethod
    def of(cls, document: Mapping[str, Json]) -> "ImportedTool":
        """From what ``agentflow tools import`` wrote.

        Raises:
            ToolDefinitionError: it is no contract, or has been changed by hand: ``adapted`` changes it.
        """
        try:
            contract = ToolContract.model_validate(dict(document))
        except ValidationError as error:
            raise ToolDefinitionError(f"this is no imported tool: {describe_errors(error)}") from None
        imported = cls(contract)
        if digest_of(contract) != imported.source.digest:
            raise ToolDefinitionError(
                f"tool {contract.name} is not as it was imported from {imported.source.server}: import it "
                "again, and change it with adapted(...)"
            )
        return imported

    def adapted(
        self,
        *,
        name: str | None = None,
        effect: Effect | None = None,
        scopes: Sequence[str] | None = None,
        sinks: Sequence[str | Sink] | None = None,
        trusted_output: bool | None = None,
        recovery: Recovery | None = None,
        options: ToolOptions | None = None,
        sentence: str | None = None,
        fixed: Mapping[str, Json] | None = None,
        key_argument: str | None = None,
        error_means_undone: bool = False,
    ) -> "ImportedTool":
        """The same tool with what its source can't know: what its effect is to you, and what is at stake.

        Args:
            name: The tool's and its activity's name.
            effect: What it does. An MCP server's word that a tool only reads is no more than that until it is
                said here.
            scopes: Permissions it needs.
            sinks: Its arguments of consequence; all of them unless it is said.
            trusted_output: Whether its word may be taken; never what outsiders write.
            recovery: What happens when an attempt died in the middle of a write.
            options: Time-outs, retry, cost, size limits.
            sentence: What a call does, for whoever approves it, with ``{argument}`` where one goes.
            fixed: Arguments that are always these: a repository, an account. The model doesn't see them.
            key_argument: The argument that takes an idempotency key; the model doesn't see it.
            error_means_undone: Of an MCP tool: whether an error says that nothing was done. Without it a
                person is asked.

        Raises:
            ToolDefinitionError: there is no such argument, or nothing that takes an idempotency key.
        """
        contract, source = self.contract, self.source
        hidden = [*(fixed or {}), *([key_argument] if key_argument else [])]
        changes: dict[str, Json] = {
            "name": name,
            "effect": effect,
            "scopes": None if scopes is None else tuple(scopes),
            "sinks": None if sinks is None else tuple(Sink.of(sink) for sink in sinks),
            "trusted_output": trusted_output,
            "recovery": recovery or ("key" if key_argument else None),
            "options": options,
            "sentence": sentence,
            "input_schema": _without(contract, hidden) if hidden else None,
            "effect_is_claimed": False if effect else None,
        }
        of_source: dict[str, Json] = {"fixed": {**source.fixed, **(fixed or {})}}
        if key_argument:
            of_source["key_argument"] = key_argument
        if error_means_undone and isinstance(source, McpSource):
            of_source["error_means_undone"] = True
        changes["source"] = source.model_copy(update=of_source)
        given = {key: value for key, value in changes.items() if value is not None}
        try:
            # Not model_copy: what was changed must be checked.
            made = ToolContract.model_validate({**dict(contract), **given})
        except ValidationError as error:
            raise ToolDefinitionError(f"{contract.name}: {describe_errors(error)}") from None
        _check_recovery(made)
        return ImportedTool(made)

    def typed_arguments(self, arguments: Mapping[str, Json]) -> SimpleNamespace:
        """JSON arguments by attribute, for rules. They have no types but JSON's."""
        return SimpleNamespace(**arguments)

    def __repr__(self) -> str:
        return f"<tool {self.contract.name} ({self.contract.effect}) of {self.source.server}>"


def digest_of(contract: ToolContract) -> Sha256:
    """Covers what a source says of a tool: description, schemas, effect, and how it is called."""
    return sha256_of(_said_by_source(contract))


def drift(pinned: ToolContract, now: ToolContract | None) -> str | None:
    """How a tool's source differs from what was imported, as a diff; ``None`` if it doesn't.

    Args:
        pinned: The tool's contract, adapted or not.
        now: What an import would make of its source today; ``None`` when it isn't there any more.
    """
    assert pinned.source is not None
    if now is None:
        return f"{pinned.source.server} has no {pinned.source.operation} any more"
    assert now.source is not None
    if now.source.digest == pinned.source.digest:
        return None
    before, after = (_lines(_said_by_source(contract)) for contract in (pinned, now))
    lines = list(difflib.unified_diff(before, after, "imported", "now", lineterm="", n=1))
    rest = [f"… {len(lines) - MAX_DIFF_LINES} lines more"] if len(lines) > MAX_DIFF_LINES else []
    shown = "\n".join([*lines[:MAX_DIFF_LINES], *rest])
    return f"{_changed(pinned)}\n{shown}"


def drift_of(pinned: ToolContract, import_again: Callable[[], ToolContract | None]) -> str | None:
    """``drift``, where the import itself may fail by now.

    Args:
        pinned: The tool's contract, adapted or not.
        import_again: Makes the contract of its source today; ``None`` when it isn't there any more.
    """
    try:
        return drift(pinned, import_again())
    except ConfigurationError as error:
        return f"{_changed(pinned)} {error}"


def with_digest(contract: ToolContract) -> ToolContract:
    """A contract that was just imported, with the digest of what its source says."""
    assert contract.source is not None
    source = contract.source.model_copy(update={"digest": digest_of(contract)})
    return contract.model_copy(update={"source": source})


def _changed(pinned: ToolContract) -> str:
    assert pinned.source is not None
    return f"{pinned.source.server} has another {pinned.source.operation} than the one imported:"


def _said_by_source(contract: ToolContract) -> dict[str, Json]:
    source = contract.source
    assert source is not None
    said: dict[str, Json] = {
        "description": contract.description,
        "input_schema": contract.input_schema,
        "output_schema": contract.output_schema,
        "effect": contract.effect,
        "operation": source.operation,
    }
    if isinstance(source, OpenApiSource):
        ours = {"fixed", "key_argument", "digest", "server", "version"}
        said["request"] = source.model_dump(mode="json", exclude=ours)
    return said


def _lines(value: Json) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def _without(contract: ToolContract, hidden: Sequence[str]) -> dict[str, Json]:
    """The schema of the arguments that are left to the model."""
    schema = contract.input_schema
    properties = cast(dict[str, Json], schema.get("properties", {}))
    if unknown := [name for name in hidden if name not in properties]:
        known = ", ".join(properties) or "none"
        raise ToolDefinitionError(f"{contract.name} has no argument {', '.join(unknown)}; there are: {known}")
    left = {name: part for name, part in properties.items() if name not in hidden}
    required = [name for name in cast(list[str], schema.get("required", [])) if name not in hidden]
    return {**schema, "properties": left, "required": required}


def _check_recovery(contract: ToolContract) -> None:
    source = contract.source
    if contract.recovery != "key" or source is None or source.key_argument:
        return
    if not (isinstance(source, OpenApiSource) and source.key_header):
        raise ToolDefinitionError(
            f'{contract.name}: {source.server} takes no idempotency key, so recovery="key" would do it '
            "twice; name the key_argument=, or leave recovery out"
        )
