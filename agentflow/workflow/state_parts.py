"""A state that is longer than a payload may be goes to the next execution by reference.

The blob store has its parts for the moment between two executions. The next one loads them first of all, by
activities: then they are in history, where all that a run knows is.
"""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from agentflow.contracts.carried import StatePart, StatePartWanted
from agentflow.contracts.names import LOAD_STATE_ACTIVITY, STORE_STATE_ACTIVITY
from agentflow.contracts.recorded import Recorded
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.state_parts import joined, parts_of, split
from agentflow.errors import PayloadTooLargeError, RunDenied
from agentflow.workflow.failures import failure_of
from agentflow.workflow.sealed_calls import Call, CallNames, as_sent, execute, execute_locally

MAX_ATTEMPTS = 10
"""At a part of a state. Each may be by another worker, whose blob store has it where it isn't one for all."""


async def stored(
    calls: CallNames, state: Mapping[str, Json], *, part_bytes: int, longest: int
) -> dict[str, Json]:
    """Put what is long of a state into the blob store, and answer what stands for the state.

    Args:
        calls: Names the calls.
        state: The state as JSON.
        part_bytes: The most that a payload may have.
        longest: The most bytes that the state may have.

    Raises:
        PayloadTooLargeError: it has more.
        RunDenied: it can't be kept.
    """
    short, parts = split(state, part_bytes)
    size = sum(len(part.text) for part in parts)
    if size > longest:
        raise PayloadTooLargeError("what the run takes along", size, longest, " of max_carried_bytes")
    for part in parts:
        try:
            await execute_locally(
                calls,
                Call(
                    STORE_STATE_ACTIVITY,
                    calls.name("store-state", part.name),
                    as_sent(part),
                    Recorded,
                    RetryPolicy(maximum_attempts=5),
                ),
                start_to_close_timeout=timedelta(minutes=2),
            )
        except (ApplicationError, TimeoutError) as error:
            raise RunDenied(f"what the run takes along can't be kept: {error}") from error
    return short


async def loaded(calls: CallNames, state: Mapping[str, Json]) -> dict[str, Json]:
    """The whole state of which some was put into the blob store.

    Raises:
        RunDenied: no worker finds it.
    """
    texts: list[str] = []
    for name in parts_of(state):
        try:
            part = await execute(
                calls,
                Call(
                    LOAD_STATE_ACTIVITY,
                    calls.name("load-state", name),
                    as_sent(StatePartWanted(name=Sha256(name))),
                    StatePart,
                    RetryPolicy(maximum_interval=timedelta(seconds=20), maximum_attempts=MAX_ATTEMPTS),
                ),
                start_to_close_timeout=timedelta(minutes=2),
                summary="take up the run's state",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            raise RunDenied(f"the run's state can't be taken up: {failure_of(error).message}") from error
        texts.append(part.text)
    try:
        return joined(state, texts)
    except ValueError as error:
        raise RunDenied(f"the run's state can't be taken up: {error}") from error
