"""The workflow side of seals: what a run sends is sealed, and what it is answered counts only under a seal.

The keys stay outside of the sandbox and of history: workflow code asks its worker to seal. A replay without
keys seals nothing, which changes nothing: Temporal doesn't compare what is sent. What was refused while the
run was made has a marker in history, so that every replay, whatever keys it has, refuses the same.
"""

import hashlib
from collections.abc import Callable, Mapping, MutableMapping
from datetime import timedelta
from typing import Any, cast

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import Interceptor, WorkflowInboundInterceptor, WorkflowInterceptorClassInput

from agentflow.contracts.names import FAILURE_SEAL, SEAL_METADATA
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.seal import ANY_EXECUTION, NEVER, Scope, Seal, SealKeys, failure_data
from agentflow.workflow.facts import UNSEALED, UNSEALED_STATE, is_kept

LIFETIME = timedelta(hours=24)
"""How long what is sent may wait to be acted on, where no time-out of its own ends it earlier."""

_LATER = timedelta(minutes=5)
"""By how much what is sent may be later than the run's clock, which stands still within a workflow task: as
long as that lasts, local activities included. Temporal's own time-outs count from when it is sent."""

STATE = "state"
"""Purpose of the seal of a state."""
STATE_DEPTH = 400
"""Levels of nesting in a state: what the doors let in, and the state's own around it."""

_MAC = "__agentflow_mac"
_IS_GENUINE = "__agentflow_is_genuine"


class SealingInterceptor(Interceptor):
    """Lets the workflows of a worker seal with its keys.

    Without keys, for replays: nothing is sealed, and what history has counts unless it was refused. A replay
    comes past the end of what the run has handled, to answers that nobody has judged yet.
    """

    def __init__(self, keys: SealKeys | None) -> None:
        self._keys = keys

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        """Put the two functions where workflow code can reach them; nothing is intercepted."""
        functions = cast(MutableMapping[str, Callable[..., Any]], input.unsafe_extern_functions)  # pyright: ignore[reportUnknownMemberType]
        if self._keys is None:
            functions[_IS_GENUINE] = _is_believed
        else:
            functions[_MAC], functions[_IS_GENUINE] = self._keys.mac, self._keys.is_genuine
        return None


def seal_argument(
    activity: str, call: str, payload: Payload, *, attempts: int, lifetime: timedelta | None = None
) -> Payload:
    """Seal what an activity is sent, for this execution, this call and this type of activity.

    Args:
        activity: The activity type.
        call: Names the call within the run.
        payload: The argument; changed in place.
        attempts: How many may act on it; 0 is any number.
        lifetime: How long it may be acted on; ``None`` is ``LIFETIME``.
    """
    info = workflow.info()
    scope = Scope(
        f"argument:{activity}",
        info.namespace,
        info.workflow_id,
        info.first_execution_run_id,
        info.run_id,
        call,
        int((workflow.now() + (lifetime or LIFETIME) + _LATER).timestamp()),
        attempts,
    )
    if (seal := _sealed(scope, dict(payload.metadata), payload.data)) is not None:
        payload.metadata[SEAL_METADATA] = str(seal).encode()
    return payload


def is_answer_genuine(activity: str, call: str, answer: object) -> bool:
    """Whether a worker of the fleet answered, and answered this call.

    Whoever reaches Temporal can complete an activity in a worker's place, with a result or without one.
    """
    payload = answer.payload if isinstance(answer, RawValue) else Payload()
    metadata = dict(payload.metadata)
    seal = Seal.read(metadata.pop(SEAL_METADATA, b""))
    return _is_genuine_now_or_then(f"result:{activity}", call, seal, metadata, payload.data)


def is_failure_genuine(activity: str, call: str, failure: ApplicationError) -> bool:
    """Whether a worker of the fleet said that this call failed, at which attempt, and for good or not."""
    facts: Any = failure.details[0] if failure.details else None
    text: Any = cast(Mapping[str, Any], facts).get(FAILURE_SEAL) if isinstance(facts, Mapping) else None
    seal = Seal.read(text) if isinstance(text, str) else None
    try:
        said = (
            failure_data(failure.type, failure.non_retryable, cast(Mapping[str, Json], facts))
            if seal
            else b""
        )
    except (TypeError, ValueError):
        seal, said = None, b""
    return _is_genuine_now_or_then(f"failure:{activity}", call, seal, {}, said)


def seal_state(state: Json) -> str | None:
    """The seal of what this execution hands to the next; ``None`` in a replay without keys."""
    info = workflow.info()
    scope = Scope(
        STATE, info.namespace, info.workflow_id, info.first_execution_run_id, info.run_id, STATE, NEVER
    )
    seal = _sealed(scope, {}, canonical_json(state, max_depth=STATE_DEPTH))
    return None if seal is None else str(seal)


def objection_to_state(state: Json, text: str | None) -> str | None:
    """Why a state that this execution was started with is not this run's own; ``None`` if it is."""
    objection = None
    if not workflow.unsafe.is_replaying() and (objection := _objection_to_state(state, text)) is None:
        return None
    refused = is_kept(UNSEALED_STATE)
    return (objection or "no execution of this run sealed the state it was started with") if refused else None


def _is_genuine_now_or_then(
    purpose: str, call: str, seal: Seal | None, metadata: dict[str, bytes], data: bytes
) -> bool:
    """Whether a seal is genuine; in a replay, whether it was taken for that while the run was made."""
    if seal is not None and not workflow.unsafe.is_replaying():
        info = workflow.info()
        chain = info.first_execution_run_id
        scope = Scope(purpose, info.namespace, info.workflow_id, chain, ANY_EXECUTION, call, NEVER)
        if _is_genuine(seal, scope, metadata, data):
            return True
    answer = f"{purpose}:{call}:".encode() + data
    return not is_kept(UNSEALED, hashlib.sha256(answer).hexdigest())


def _is_believed(kid: str, message: bytes, mac: bytes) -> bool:
    return True


def _objection_to_state(state: Json, text: str | None) -> str | None:
    info, seal = workflow.info(), Seal.read(text or "")
    if info.continued_run_id is None:
        return "a task may not bring the state of a run: leave carried out"
    if seal is None:
        return "it was started with the state of a run that nobody sealed"
    if seal.chain != info.first_execution_run_id:
        return "it was started with the state of another run"
    if seal.run_id != info.continued_run_id and info.attempt == 1:
        # A retry is started with what the execution that failed was started with.
        return "it was started with the state of an execution that is not the one before it"
    scope = seal.scope(STATE, info.namespace, info.workflow_id)
    if not _is_genuine(seal, scope, {}, canonical_json(state, max_depth=STATE_DEPTH)):
        return "it was started with the state of a run under a seal that no worker made"
    return None


def _sealed(scope: Scope, metadata: dict[str, bytes], data: bytes) -> Seal | None:
    mac = cast(Callable[[bytes], tuple[str, bytes]] | None, _extern(_MAC))
    return None if mac is None else Seal.over(scope, mac(scope.message(metadata, data)))


def _is_genuine(seal: Seal, scope: Scope, metadata: dict[str, bytes], data: bytes) -> bool:
    check = cast(Callable[[str, bytes, bytes], bool] | None, _extern(_IS_GENUINE))
    return check is not None and check(seal.kid, scope.message(metadata, data), seal.mac) is True


def _extern(name: str) -> Callable[..., Any] | None:
    functions = cast(Mapping[str, Callable[..., Any]], workflow.extern_functions())  # pyright: ignore[reportUnknownMemberType]
    return functions.get(name)
