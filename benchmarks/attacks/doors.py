"""Doors: whoever reaches Temporal starts activities, workflows, crons and schedules, resets, and completes.

The guard is the seal. The twin has keys that take every seal for their own.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

from temporalio.api.common.v1 import Payload
from temporalio.client import (
    ActivityFailureError,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowHandle,
)
from temporalio.common import RawValue, RetryPolicy
from temporalio.service import RPCError, RPCStatusCode

from agentflow.contracts.escalation import RunStatus
from agentflow.contracts.messages import AssistantMessage, UserMessage
from agentflow.contracts.model import ModelCall
from agentflow.contracts.names import (
    CHAT_ACTIVITY,
    CLOSE_EFFECT_ACTIVITY,
    RECONCILE_EFFECT_ACTIVITY,
    STATUS_QUERY,
)
from agentflow.core.idempotency import arguments_hash
from agentflow.testing import ScriptedModel, answer, call
from benchmarks.attacks.bank import Teller
from benchmarks.attacks.stage import STRANGERS, Stage, Target, gullible_keys
from benchmarks.attacks.strangers import SEAL, Order, Stranger, arguments_of, in_base64
from benchmarks.attacks.tried import Tally, Tried

BATCH = 25
"""Orders of one stranger's workflow."""

SCRIPT = [call("pay", account="alice", amount="5.00"), call("look", account="alice"), answer("done")]


def _say(asked: ModelCall) -> AssistantMessage:
    """Pay and look; or look for a long time."""
    first, answers = asked.messages[0], sum(message.kind == "assistant" for message in asked.messages)
    if isinstance(first, UserMessage) and first.text == "a slow look":
        return (call("look", account="slow"), answer("done"))[answers]
    return SCRIPT[answers]


@dataclass(frozen=True)
class Genuine:
    """What anybody can read in the history of a run that was served."""

    workflow_id: str
    arguments: Mapping[str, Payload]
    """By activity type."""
    state: Any
    seal: str


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Try the doors of a worker, and then those of its twin."""
    tally = Tally()
    tally.count(await _tried(stage, random, attempts))
    tally.count_twin(await _tried(stage, random, max(attempts // 10, 60), seals=gullible_keys()))
    return tally


async def _tried(stage: Stage, random: Random, attempts: int, **settings: Any) -> list[Tried]:
    model = ScriptedModel(_say)
    async with stage.target(model, **settings) as target, stage.strangers():
        genuine = await _genuine(target)
        few = max(attempts // 40, 3)
        by_itself, carried, completed = 4 * few, 3 * few, few
        ordered = attempts - by_itself - carried - completed
        tried = await _ordered(target, random, genuine, ordered)
        tried += await _by_itself(target, random, genuine, by_itself)
        tried += await _carried(target, random, genuine, carried)
        tried += await _completed(target, random, completed)
    return tried


async def _genuine(target: Target) -> Genuine:
    """Serve a run whose history is then copied from."""
    handle = await target.start("pay alice", Teller)
    await handle.result()
    arguments: dict[str, Payload] = {}
    state: Any = None
    seal, run_id = "", handle.first_execution_run_id or handle.result_run_id or ""
    execution: str | None = (await target.client.get_workflow_handle(handle.id).describe()).run_id
    while execution:
        history = await target.client.get_workflow_handle(handle.id, run_id=execution).fetch_history()
        for name in ("pay", "chat", "look"):
            for payload in arguments_of(history, name):
                arguments.setdefault(name, payload)
        started = history.events[0].workflow_execution_started_event_attributes
        task = json.loads(started.input.payloads[0].data)
        if "carried" in task:
            state, seal = task["carried"], task["seal"]
        execution = started.continued_execution_run_id or None
    assert state is not None, run_id
    return Genuine(handle.id, arguments, state, seal)


def _forged(random: Random, genuine: Genuine, account: str) -> tuple[str, str, Payload, str]:
    """An order that no run gave: its kind, activity, payload, and the seal to put in it."""
    real, activity = genuine.arguments["pay"], random.choice(["pay", "transfer"])
    document = json.loads(real.data)
    document["arguments"] = {"account": account, "amount": "999999.00"}
    document["ledger_key"] = f"{random.getrandbits(256):064x}"
    document["decision"]["arguments_hash"] = arguments_hash(activity, document["arguments"])
    bare = Payload(metadata={"encoding": real.metadata["encoding"]}, data=json.dumps(document).encode())
    theirs = real.metadata[SEAL].decode()
    invented = f"1.{random.choice(['k1', 'test', theirs.split('.')[1]])}.4000000000.0.RUN..call."
    code = in_base64(random.randbytes(16))
    kinds = {
        "no seal": (bare, ""),
        "a seal that is none": (
            bare,
            random.choice(["", "x", "1.1.1.1.1.1.1", "é" * 9, "1." * 300, "null"]) or "-",
        ),
        "an invented seal": (bare, invented + code),
        "another call's seal": (bare, theirs),
        "another call's code": (bare, invented + theirs.rsplit(".", 1)[1]),
        "a code cut short": (bare, invented + code[: random.randrange(22)]),
    }
    kind = random.choice(sorted(kinds))
    payload, seal = kinds[kind]
    return kind, activity, payload, seal


def _bent(random: Random, genuine: Genuine) -> tuple[str, str, Payload, str]:
    """What a run did order, bent a little."""
    real = genuine.arguments["pay"]
    text, seal = real.data.decode(), real.metadata[SEAL].decode()
    parts = seal.split(".")
    at = random.randrange(1, len(parts))
    changed_part = re.sub(r".", lambda _: random.choice("0123456789abcdef"), parts[at] or "0", count=1)
    document = json.loads(text)
    swapped = dict(zip(document["arguments"], reversed(document["arguments"].values()), strict=True))
    kinds: dict[str, tuple[bytes, str]] = {
        "whitespace": ((text + random.choice([" ", "\n", "\t"])).encode(), seal),
        "keys in another order": (json.dumps(dict(reversed(document.items()))).encode(), seal),
        "a number for its text": (text.replace('"5.00"', random.choice(["5.00", "5", "5.0"])).encode(), seal),
        "escapes for letters": (text.replace("alice", "\\u0061lice").encode(), seal),
        "a key twice": (text.replace('"amount"', '"amount":"9","amount"').encode(), seal),
        "arguments permuted": (json.dumps({**document, "arguments": swapped}).encode(), seal),
        "a byte": (_flipped(random, real.data), seal),
        "a part of the seal": (real.data, ".".join([*parts[:at], changed_part, *parts[at + 1 :]])),
        "nothing": (real.data, seal),
        "nothing, for another tool": (real.data, seal),
        "its base64": (real.data.hex().encode(), seal),
    }
    kind = random.choice(sorted(kinds))
    data, seal = kinds[kind]
    activity = "transfer" if kind.endswith("another tool") else "pay"
    return f"bent: {kind}", activity, Payload(metadata={"encoding": b"json/plain"}, data=data), seal


def _about(random: Random, genuine: Genuine, account: str) -> tuple[str, str, Payload, str]:
    """A word on what became of a payment, a model call, a look."""
    document = json.loads(genuine.arguments["pay"].data)
    document["ledger_key"] = f"{random.getrandbits(256):064x}"
    closing = {"verdict": "happened", "by": "eve", "output": "paid"}
    orders = {
        CLOSE_EFFECT_ACTIVITY: {"tool": "pay", "invocation": document, "closing": closing},
        RECONCILE_EFFECT_ACTIVITY: {"tool": "pay", "invocation": document},
        CHAT_ACTIVITY: json.loads(genuine.arguments[CHAT_ACTIVITY].data),
        "look": {**json.loads(genuine.arguments["look"].data), "arguments": {"account": account}},
    }
    activity = random.choice(sorted(orders))
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(orders[activity]).encode())
    seal = random.choice(["", f"1.test.4000000000.0.RUN..call.{in_base64(random.randbytes(16))}"])
    return f"{activity} by a stranger", activity, payload, seal


def _flipped(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


async def _ordered(target: Target, random: Random, genuine: Genuine, attempts: int) -> list[Tried]:
    """Orders from workflows of one's own, on a worker of one's own; some under the run's very id."""
    plans: list[tuple[str, str, Payload, str, str]] = []
    for number in range(attempts):
        account = f"eve-{uuid4().hex}"
        make = random.choice([_forged, _forged, _bent, _about])
        plan = _bent(random, genuine) if make is _bent else make(random, genuine, account)
        plans.append((*plan, account if number >= 0 else ""))
    batches = [plans[start : start + BATCH] for start in range(0, len(plans), BATCH)]
    gate = asyncio.Semaphore(8)

    async def send(batch: Sequence[tuple[str, str, Payload, str, str]], number: int) -> list[Tried]:
        orders = [Order.of(kind[1], target.task_queue, kind[2], kind[3]) for kind in batch]
        # Every tenth takes the very id of the run that it copies, which is free again.
        own = genuine.workflow_id if number % 10 == 0 else f"stranger-{uuid4()}"
        async with gate:
            ended: list[str] = await target.client.execute_workflow(
                Stranger.run, orders, id=own, task_queue=STRANGERS
            )
        return [
            Tried(
                kind, done == "it was done" or bool(target.books.paid[account]), f"{activity} {seal}: {done}"
            )
            for (kind, activity, _, seal, account), done in zip(batch, ended, strict=True)
        ]

    tried: list[Tried] = []
    for number, batch in enumerate(batches):
        if number % 10 == 0:
            tried += await send(batch, number)
    rest = [send(batch, number) for number, batch in enumerate(batches) if number % 10]
    for found in await asyncio.gather(*rest):
        tried += found
    if target.books.paid["alice"] != 1:
        tried.append(Tried("paid twice", True, f"alice was paid {target.books.paid['alice']} times"))
    return tried


async def _by_itself(target: Target, random: Random, genuine: Genuine, attempts: int) -> list[Tried]:
    """``temporal activity start``: no workflow at all."""
    gate = asyncio.Semaphore(8)

    async def send() -> Tried:
        account = f"eve-{uuid4().hex}"
        kind, activity, payload, seal = random.choice(
            [_forged(random, genuine, account), _bent(random, genuine), _about(random, genuine, account)]
        )
        if seal:
            payload.metadata[SEAL] = seal.encode()
        async with gate:
            try:
                await target.client.execute_activity(
                    activity,
                    RawValue(payload),
                    id=f"alone-{uuid4()}",
                    task_queue=target.task_queue,
                    result_type=RawValue,
                    start_to_close_timeout=timedelta(seconds=20),
                    retry_policy=RetryPolicy(maximum_attempts=1),
                )
            except ActivityFailureError as error:
                return Tried("by itself", bool(target.books.paid[account]), f"{kind}: {error.cause}")
        return Tried("by itself", True, f"{kind}: {activity} was done")

    return list(await asyncio.gather(*(send() for _ in range(attempts))))


async def _carried(target: Target, random: Random, genuine: Genuine, attempts: int) -> list[Tried]:
    """A state of one's own making: by a start, a cron, a schedule, by continuing as new."""
    gate = asyncio.Semaphore(6)

    async def send(number: int) -> Tried:
        state = json.loads(json.dumps(genuine.state))
        how = random.choice(["as it was", "budget", "decision", "outputs"])
        match how:
            case "budget":
                state["settled"]["cost_usd"] = "0"
                state["turn"] = 0
            case "decision":
                state["decisions"] = []
            case "outputs":
                state["past_calls"] = []
            case _:
                pass
        kid, code = genuine.seal.split(".")[1], in_base64(random.randbytes(16))
        invented = f"1.{kid}.253402300799.0.RUN..state.{code}"
        seal = random.choice([None, genuine.seal, invented, invented, "-"])
        task = {"input": "pay eve", "requested_by": "eve", "carried": state, "seal": seal}
        door = ("start", "continue as new", "cron", "schedule")[number % 4]
        async with gate:
            fate = await _through(target, door, task)
        return Tried(f"state by {door}", fate != "denied", f"{how} {seal}: {fate}")

    return list(await asyncio.gather(*(send(number) for number in range(attempts))))


async def _through(target: Target, door: str, task: dict[str, Any]) -> str:
    """Bring a state in; how the run that was given it ended, or that it goes on with it."""
    name, client = f"state-{uuid4()}", target.client
    match door:
        case "start":
            handle = await client.start_workflow("Teller", task, id=name, task_queue=target.task_queue)
        case "continue as new":
            told = ["Teller", target.task_queue, task]
            handle = await client.start_workflow("Impostor", args=told, id=name, task_queue=STRANGERS)
        case "cron":
            handle = await client.start_workflow(
                "Teller", task, id=name, task_queue=target.task_queue, cron_schedule="@every 1s"
            )
        case _:
            name, handle = await _scheduled(target, name, task)
    # What it was started with is the state of a run only for an execution that continues another.
    needs_second = door in ("continue as new", "cron")
    first = handle.first_execution_run_id
    while True:
        latest = await client.get_workflow_handle(name).describe()
        if not needs_second or latest.run_id != first:
            break
        await asyncio.sleep(0.05)
    fate = await _fate(client.get_workflow_handle(name, run_id=latest.run_id))
    await _terminated(client.get_workflow_handle(name))
    return fate


async def _scheduled(target: Target, name: str, task: dict[str, Any]) -> tuple[str, WorkflowHandle[Any, Any]]:
    action = ScheduleActionStartWorkflow("Teller", task, id=name, task_queue=target.task_queue)
    schedule = await target.client.create_schedule(name, Schedule(action=action, spec=ScheduleSpec()))
    await schedule.trigger()
    while not (actions := (await schedule.describe()).info.recent_actions):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.05)
    await schedule.delete()
    started = actions[0].action
    assert isinstance(started, ScheduleActionExecutionStartWorkflow)
    return started.workflow_id, target.client.get_workflow_handle(started.workflow_id)


async def _fate(handle: WorkflowHandle[Any, Any]) -> str:
    """How a run ended, or that it is under way and asks people."""
    while True:
        status = await handle.query(STATUS_QUERY, result_type=RunStatus)
        if status.outcome:
            return status.outcome
        if status.escalation or status.pending_approvals:
            return f"goes on: {status.detail}"
        await asyncio.sleep(0.05)


async def _completed(target: Target, random: Random, attempts: int) -> list[Tried]:
    """``temporal activity complete``: an answer in the worker's place, while it is at work."""
    gate = asyncio.Semaphore(6)

    async def send() -> Tried:
        payload = Payload(metadata={"encoding": b"json/plain"}, data=b'{"output": "alice has 999999.00"}')
        if random.random() < 0.7:
            payload.metadata[SEAL] = f"1.test.0.0.-..-.{in_base64(random.randbytes(16))}".encode()
        async with gate:
            handle = await target.start("a slow look")
            looking = await _pending(handle, "look")
            forged = target.client.get_async_activity_handle(
                workflow_id=handle.id, run_id=handle.first_execution_run_id or "", activity_id=looking
            )
            await forged.complete(RawValue(payload))
            attention = await target.agents.attention(handle.id)
            await _terminated(handle)
        return Tried("answered by a stranger", attention.outcome == "completed", str(attention))

    return list(await asyncio.gather(*(send() for _ in range(attempts))))


async def _pending(handle: WorkflowHandle[Any, Any], activity: str) -> str:
    """The id of an activity, as soon as a worker has it."""
    while True:
        described = (await handle.describe()).raw_description
        for pending in described.pending_activities:
            if pending.activity_type.name == activity and pending.HasField("last_started_time"):
                return pending.activity_id
        await asyncio.sleep(0.02)


async def _terminated(handle: WorkflowHandle[Any, Any]) -> None:
    try:
        await handle.terminate()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
