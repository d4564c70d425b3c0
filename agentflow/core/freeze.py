"""What a run makes of a freeze that it is told of by signal.

It is a hint: whoever may signal a run may send either verb, and each write asks the effect ledger whatever
the run has heard.
"""

from dataclasses import dataclass
from typing import Literal

from agentflow.contracts.freeze import keys_of
from agentflow.core.approval import Refusal
from agentflow.core.signals import parse_freeze

FreezeVerb = Literal["freeze", "unfreeze"]


@dataclass(frozen=True)
class Heard:
    """What became of a ``freeze`` or ``unfreeze`` signal."""

    frozen: tuple[str, ...]
    """The freezes that the run knows of from here on."""
    accepted: bool
    detail: str
    by: str | None = None


def hear(
    frozen: tuple[str, ...], verb: FreezeVerb, payloads: tuple[bytes, ...], agent: str, tenant: str
) -> Heard:
    """Take a signal. One that is malformed, or is for others, changes nothing.

    Args:
        frozen: The freezes that the run knows of.
        verb: The signal.
        payloads: As they came.
        agent: The run's.
        tenant: The run's.
    """
    freeze = parse_freeze(payloads)
    if isinstance(freeze, Refusal):
        return Heard(frozen, False, f"{verb}: {freeze.reason}")
    if freeze.key not in keys_of(agent, tenant):
        return Heard(frozen, False, f"{verb} {freeze.key}: this run is {agent} of {tenant}", freeze.by)
    others = tuple(key for key in frozen if key != freeze.key)
    after = (*others, freeze.key) if verb == "freeze" else others
    return Heard(after, True, f"{verb} {freeze.key}: {freeze.reason}".rstrip(": "), freeze.by)
