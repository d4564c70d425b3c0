"""A run's own history says when signals came: read backwards, within bounds, past what can't be decoded."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue
from temporalio.converter import PayloadCodec
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

from agentflow.activity import arrivals
from agentflow.activity.arrivals import find_arrivals
from agentflow.contracts.arrival import ArrivalInquiry, Arrivals, SignalSought
from agentflow.core.arrival import content_of


class Shifted(PayloadCodec):
    """Writes payloads backwards, and can't read what it has not written."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"shifted"}, data=each.SerializeToString()[::-1])
            for each in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if any(each.metadata.get("encoding") != b"shifted" for each in payloads):
            raise ValueError("not mine")
        return [Payload.FromString(each.data[::-1]) for each in payloads]


def coded(temporal: WorkflowEnvironment) -> Client:
    config = temporal.client.config()
    config["data_converter"] = replace(config["data_converter"], payload_codec=Shifted())
    return Client(**config)


async def waiting(client: Client) -> WorkflowHandle[Any, Any]:
    """A run that no worker takes up: all that its history has is what it is sent."""
    return await client.start_workflow("Nobody", id=f"arrivals-{uuid4()}", task_queue=f"nobody-{uuid4()}")


def sought(name: str, data: bytes, nth: int = 1, of: int = 1) -> SignalSought:
    return SignalSought(name=name, content=content_of([data]), nth=nth, of=of)


async def found(
    client: Client,
    handle: WorkflowHandle[Any, Any],
    *signals: SignalSought,
    after: int = 0,
    until: int = 10_000,
) -> Arrivals:
    environment = ActivityEnvironment(client=client)
    environment.info = replace(
        environment.info, workflow_id=handle.id, workflow_run_id=handle.first_execution_run_id
    )
    inquiry = ArrivalInquiry(after_event=after, until_event=until, sought=signals)
    return await environment.run(find_arrivals, inquiry)


async def times(handle: WorkflowHandle[Any, Any]) -> list[tuple[int, datetime]]:
    """Event id and time of each signal."""
    return [
        (event.event_id, event.event_time.ToDatetime(UTC))
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]


async def test_signals_are_found_past_one_that_can_not_be_decoded(temporal: WorkflowEnvironment) -> None:
    client = coded(temporal)
    handle = await waiting(client)
    await handle.signal("approve", "one")
    plain = temporal.client.get_workflow_handle(handle.id)
    await plain.signal("approve", RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b'"\xff')))
    await handle.signal("approve", "two")
    answer = await found(client, handle, sought("approve", b'"one"'), sought("approve", b'"two"'))
    first, _, last = [at for _, at in await times(handle)]
    assert answer == Arrivals(at=(first, last))


async def test_only_the_signals_of_one_workflow_task_are_looked_at_over_many_pages(
    temporal: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "_PAGE", 1)
    handle = await waiting(temporal.client)
    for _ in range(4):
        await handle.signal("approve", "same")
    events = await times(handle)
    pair = [sought("approve", b'"same"', nth, 2) for nth in (1, 2)]
    answer = await found(temporal.client, handle, *pair, after=events[0][0], until=events[2][0])
    assert answer.at == (events[1][1], events[2][1])


async def test_a_signal_of_another_name_or_content_is_not_taken_for_it(temporal: WorkflowEnvironment) -> None:
    handle = await waiting(temporal.client)
    await handle.signal("reject", "one")
    await handle.signal("approve", "one ")
    assert (await found(temporal.client, handle, sought("approve", b'"one"'))).at == (None,)


@pytest.mark.parametrize("bound", ["MAX_EVENTS", "MAX_BYTES"])
async def test_more_history_than_the_bounds_allow_is_a_problem_and_no_answer(
    temporal: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(arrivals, bound, 3)
    handle = await waiting(temporal.client)
    for number in range(4):
        await handle.signal("approve", number)
    answer = await found(temporal.client, handle, sought("approve", b"0"))
    assert answer.at == ()
    assert "more history to read" in (answer.problem or "")
