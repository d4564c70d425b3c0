"""The activity side of seals: an activity acts only on what a run of its own fleet sealed for it.

The seal is checked over the payload's bytes before anything in it is parsed. What is refused is refused for
good, and says why.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from agentflow.activity.failures import NotBegunError, to_application_error
from agentflow.contracts.names import FAILURE_SEAL, SEAL_METADATA
from agentflow.contracts.tools import ToolInvocation
from agentflow.core.seal import ANY_EXECUTION, NEVER, Scope, Seal, SealKeys, failure_data
from agentflow.errors import SealRefusedError, ToolUnavailableError
from agentflow.telemetry import metrics
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

ChainOf = Callable[[str, str], Awaitable[str | None]]
"""Answers the first run id of the chain that an execution (workflow id, run id) is of, if there is one."""


class Seals:
    """Checks and makes the seals of a worker's activities."""

    def __init__(self, keys: SealKeys, chain_of: ChainOf) -> None:
        """Put the parts together.

        Args:
            keys: The fleet's.
            chain_of: Asked when an activity runs in another execution than the one that sealed it, as after
                a reset. What it raises is tried again.
        """
        self._keys = keys
        self._chain_of = chain_of

    async def check(self, payload: Payload) -> Seal:
        """The seal of an argument, which is good for this activity, here and now.

        Raises:
            SealRefusedError: it is not; the text says why.
        """
        info = activity.info()
        if not info.workflow_id or not info.workflow_run_id:
            raise SealRefusedError("no workflow runs this activity: somebody started it by itself")
        metadata = dict(payload.metadata)
        seal = Seal.read(metadata.pop(SEAL_METADATA, b""))
        if seal is None:
            raise SealRefusedError("what it is asked has no seal: no run of this fleet asked for it")
        scope = seal.scope(f"argument:{info.activity_type}", info.namespace, info.workflow_id)
        if not self._keys.is_genuine(seal.kid, scope.message(metadata, payload.data), seal.mac):
            raise SealRefusedError(f"no run of this fleet sealed this for this call (key {seal.kid})")
        if info.started_time.timestamp() >= seal.expires:
            raise SealRefusedError(f"its seal was good until {seal.expires} (seconds since 1970)")
        if seal.attempts and info.attempt > seal.attempts:
            # Whoever reaches Temporal can raise an activity's number of attempts, which are paid for.
            raise SealRefusedError(
                f"this is attempt {info.attempt}; its run asked for {seal.attempts} at most"
            )
        if info.workflow_run_id == seal.run_id:
            return seal
        # The run was reset while the activity waited for a worker; or somebody made another run.
        if await self._chain_of(info.workflow_id, info.workflow_run_id) != seal.chain:
            raise SealRefusedError("it was sealed in another run of this workflow id")
        return seal

    def seal(self, asked: Seal, answer: Payload) -> Payload:
        """Seal the answer to what was asked; changed in place."""
        seal = self._sealed("result", asked, dict(answer.metadata), answer.data)
        answer.metadata[SEAL_METADATA] = str(seal).encode()
        return answer

    def seal_failure(self, asked: Seal, failure: ApplicationError) -> ApplicationError:
        """The failure of what was asked, with a seal over what the run goes by."""
        first: Any = failure.details[0] if failure.details else None
        is_ours = isinstance(first, Mapping)
        facts: dict[str, Any] = {"attempt": activity.info().attempt}
        if is_ours:
            facts.update(cast(Mapping[str, Any], first))
        said = failure_data(failure.type, failure.non_retryable, facts)
        facts[FAILURE_SEAL] = str(self._sealed("failure", asked, {}, said))
        sealed = ApplicationError(
            failure.message,
            facts,
            *failure.details[1 if is_ours else 0 :],
            type=failure.type,
            non_retryable=failure.non_retryable,
            next_retry_delay=failure.next_retry_delay,
            category=failure.category,
        )
        return sealed.with_traceback(failure.__traceback__)

    def _sealed(self, what: str, asked: Seal, metadata: dict[str, bytes], data: bytes) -> Seal:
        info = activity.info()
        purpose, workflow_id = f"{what}:{info.activity_type}", info.workflow_id or ""
        scope = Scope(purpose, info.namespace, workflow_id, asked.chain, ANY_EXECUTION, asked.call, NEVER)
        kid, mac = self._keys.mac(scope.message(metadata, data))
        # The run knows what it asked for: of that nothing has to be repeated in history.
        return Seal(kid, mac, ANY_EXECUTION, ANY_EXECUTION, ANY_EXECUTION, 0)


@dataclass(frozen=True)
class Served:
    """What an activity type does, and what it is asked."""

    name: str
    """The activity type."""
    argument: type[Any]
    """Of the function's one argument."""
    function: Callable[[Any], Awaitable[Any]]


def sealed_activity(served: Served, seals: Seals) -> Callable[[RawValue], Awaitable[Any]]:
    """An activity that does what it is asked under a seal, and nothing else."""

    @activity.defn(name=served.name)
    async def run(sealed: RawValue) -> Any:
        try:
            asked = await seals.check(sealed.payload)
        except Exception as error:
            _on_record(served.name, error)
            raise to_application_error(error) from None
        converter, is_local = activity.payload_converter(), activity.info().is_local
        try:
            answer = await served.function(converter.from_payload(sealed.payload, served.argument))
            # What a local activity answers the worker itself writes into history.
            return answer if is_local else RawValue(seals.seal(asked, converter.to_payload(answer)))
        except Exception as error:
            failed = to_application_error(error)
            raise failed if is_local else seals.seal_failure(asked, failed) from None

    return run


def with_sealed(
    others: Iterable[Callable[..., Any]], served: Iterable[Served], seals: Seals
) -> list[Callable[..., Any]]:
    """The activities of a worker: its application's own, those that are served, and one for all it lacks.

    A worker takes one of the last kind; where the application has its own, that answers.
    """
    activities = [*others, *(sealed_activity(each, seals) for each in served)]
    if not any(map(_is_for_all, activities)):
        activities.append(_unserved_activity(seals))
    return activities


def _is_for_all(function: object) -> bool:
    definition = getattr(function, "__temporal_activity_definition", None)
    return definition is not None and definition.name is None


def _unserved_activity(seals: Seals) -> Callable[[Sequence[RawValue]], Awaitable[Any]]:
    """What answers for each activity type that a worker doesn't have, such as a tool of a newer release.

    Temporal's own answer would count as an attempt that may have made a write. This one says that it did
    nothing, and leaves the call to another worker of the queue.
    """

    @activity.defn(dynamic=True)
    async def run(arguments: Sequence[RawValue]) -> Any:
        info = activity.info()
        # As Temporal says it, to whom it says it.
        lacking = ApplicationError(
            f"no activity {info.activity_type} is registered on this worker of {info.task_queue}",
            type="NotFoundError",
        )
        try:
            asked = await seals.check(arguments[0].payload)
        except Exception:
            # Nothing of this fleet's.
            raise lacking from None
        if not _is_write(arguments[0]):
            raise seals.seal_failure(asked, lacking)
        not_begun = NotBegunError(ToolUnavailableError(lacking.message), is_on_record=False)
        raise seals.seal_failure(asked, to_application_error(not_begun))

    return run


def _is_write(argument: RawValue) -> bool:
    """Whether it is a call of a tool that writes."""
    try:
        invocation = activity.payload_converter().from_payload(argument.payload, ToolInvocation)
    except Exception:
        return False
    return invocation.work is not None


def _on_record(name: str, error: Exception) -> None:
    info = activity.info()
    if isinstance(error, SealRefusedError):
        metrics.seal_refused(name)
    _LOG.warning("activity refused", activity=name, workflow_id=info.workflow_id, **failure(error))
