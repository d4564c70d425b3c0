"""Registers the search attributes of runs in a Temporal namespace."""

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.core.durations import checked
from agentflow.errors import ConfigurationError

RPC_TIMEOUT = timedelta(seconds=10)
POLL_SECONDS = 0.2

_REFUSING = frozenset(
    {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.UNIMPLEMENTED}
)
"""What Temporal Cloud, and a server that guards its operator service, answer."""


async def register_search_attributes(
    client: Client, *, timeout: timedelta = timedelta(seconds=60)
) -> tuple[str, ...]:
    """Register what a namespace lacks of ``SEARCH_ATTRIBUTES``, and wait until it can be used.

    Safe to call again, and from several places at once.

    Args:
        client: Connected to the namespace.
        timeout: How long to wait; a cluster's own caches take up to a minute.

    Returns:
        The names that were new.

    Raises:
        ConfigurationError: an attribute exists with another type, the server doesn't let us add them,
            or they can't be used when the time is over. The text says what to do.
    """
    missing = await missing_search_attributes(client)
    if missing:
        await _add(client, missing)
    try:
        async with asyncio.timeout(checked("timeout", timeout).total_seconds()):
            usable = await _usable(client)
            while not usable:
                await asyncio.sleep(POLL_SECONDS)
                usable = await _usable(client)
    except TimeoutError:
        raise ConfigurationError(
            f"the search attributes of namespace {client.namespace} are registered, but not usable after "
            f"{timeout.total_seconds():.0f} seconds: try again later"
        ) from None
    return tuple(missing)


async def missing_search_attributes(client: Client) -> dict[str, str]:
    """Name and type of each search attribute that the namespace lacks.

    Raises:
        ConfigurationError: one exists with another type.
    """
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    known = {name: _type_name(kind) for name, kind in answer.custom_attributes.items()}
    for name, wanted in SEARCH_ATTRIBUTES.items():
        if known.get(name, wanted) != wanted:
            raise ConfigurationError(
                f"namespace {client.namespace} has a search attribute {name} of type {known[name]}, and "
                f"agentflow needs {wanted}: if nothing else uses it, remove it with `temporal operator "
                f"search-attribute remove --name {name} --namespace {client.namespace}`, else use another "
                f"namespace"
            )
    return {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in known}


async def _add(client: Client, missing: Mapping[str, str]) -> None:
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes={name: _type_number(kind) for name, kind in missing.items()},
    )
    try:
        await client.operator_service.add_search_attributes(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            # Somebody else was as quick; whether with the same types is checked next.
            await missing_search_attributes(client)
            return
        if error.status in _REFUSING:
            raise ConfigurationError(_by_hand(client, missing, error)) from error
        raise


async def _usable(client: Client) -> bool:
    """Whether visibility takes them: registered is not yet usable, since servers cache what they know."""
    if await missing_search_attributes(client):
        return False
    query = " AND ".join(f"{name} IS NULL" for name in SEARCH_ATTRIBUTES)
    request = CountWorkflowExecutionsRequest(namespace=client.namespace, query=query)
    try:
        await client.workflow_service.count_workflow_executions(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status != RPCStatusCode.INVALID_ARGUMENT:
            raise
        return False
    return True


def _by_hand(client: Client, missing: Mapping[str, str], error: RPCError) -> str:
    options = " ".join(f"--name {name} --type {kind}" for name, kind in missing.items())
    pairs = " ".join(f'--search-attribute "{name}={kind}"' for name, kind in missing.items())
    return (
        f"the server doesn't let us add search attributes to namespace {client.namespace} "
        f"({error.message}). On your own server let an operator run `temporal operator search-attribute "
        f"create --namespace {client.namespace} {options}`; on Temporal Cloud `tcld namespace "
        f"search-attributes add --namespace {client.namespace} {pairs}`"
    )


def _type_name(kind: "IndexedValueType.ValueType") -> str:
    """``INDEXED_VALUE_TYPE_KEYWORD_LIST`` as people write it: ``KeywordList``."""
    words = IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


def _type_number(kind: str) -> "IndexedValueType.ValueType":
    words = "_".join(re.findall("[A-Z][a-z]*", kind))
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{words.upper()}")
