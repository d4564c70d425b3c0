"""Payloads that people send, checked by hand: a malformed one is recorded, and harms nothing."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from agentflow.contracts.approval import ApprovalDecision
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.identity import Revocation
from agentflow.core.answer import describe_errors
from agentflow.core.approval import Refusal
from agentflow.core.strict_json import strict_json

PayloadT = TypeVar("PayloadT")

MAX_SIGNAL_BYTES = 64 * 1024
"""A decision is a few hundred bytes; what is far longer is a mistake or an attack."""

_DECISION: TypeAdapter[ApprovalDecision] = TypeAdapter(ApprovalDecision)
_FREEZE: TypeAdapter[Freeze] = TypeAdapter(Freeze)
_REVOCATION: TypeAdapter[Revocation] = TypeAdapter(Revocation)
_RESOLUTION: TypeAdapter[Resolution] = TypeAdapter(Resolution)


def parse_decision(payloads: tuple[bytes, ...]) -> ApprovalDecision | Refusal:
    """An approval decision from the raw payloads of a signal or update."""
    return _parse(_DECISION, payloads)


def parse_resolution(payloads: tuple[bytes, ...]) -> Resolution | Refusal:
    """A resolution from the raw payloads of a signal."""
    return _parse(_RESOLUTION, payloads)


def parse_freeze(payloads: tuple[bytes, ...]) -> Freeze | Refusal:
    """A freeze, or its end, from the raw payloads of a signal."""
    return _parse(_FREEZE, payloads)


def parse_revocation(payloads: tuple[bytes, ...]) -> Revocation | Refusal:
    """The revocation of a key from the raw payloads of a signal."""
    return _parse(_REVOCATION, payloads)


def _parse(adapter: TypeAdapter[PayloadT], payloads: tuple[bytes, ...]) -> PayloadT | Refusal:
    if len(payloads) != 1:
        return Refusal(f"malformed: {len(payloads)} payloads, expected one JSON object")
    if len(payloads[0]) > MAX_SIGNAL_BYTES:
        return Refusal(f"malformed: {len(payloads[0])} bytes, the limit is {MAX_SIGNAL_BYTES}")
    try:
        value = adapter.validate_json(payloads[0])
        # Pydantic takes NaN and 1e400, which JSON doesn't have and no comparison holds against, and the last
        # of two values of one key, where whoever looked at the payload may have read the first.
        strict_json(payloads[0])
    except ValidationError as error:
        return Refusal(f"malformed: {describe_errors(error)}")
    except (ValueError, RecursionError) as error:
        return Refusal(f"malformed: {error}")
    return value
