"""Records the histories: ``python -m tests.replay.record``.

Each history is of one way through a run; a new file is added for a new way. Until 0.1.0 is released, no run is open
anywhere: histories are recorded anew when a change breaks them, and the commit says why. After that a recorded one
stands for open runs and is never overwritten, and all ways are recorded once more for each release.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.requesters import SignedRequesters
from agentflow.adapters.signer import Signer
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.notice import Notice
from agentflow.contracts.stops import CACHED_FOR
from agentflow.errors import ModelUnavailableError, ToolUnavailableError
from agentflow.imported import McpServer
from agentflow.testing import MemoryLedger, ScriptedModel, answer, call, calls
from tests.conftest import started as server_started
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.chatting_agents import Circling, Forgetful, Local
from tests.workflow.deciding_agents import Wirer
from tests.workflow.harness import Harness, chain, serving
from tests.workflow.importing_agents import Noter, note, notes
from tests.workflow.retried_agents import Stumbler
from tests.workflow.stepping_agents import Careful, Remitter, Stepper
from tests.workflow.verifying_agents import Badged

VERSION = "0.1.0"
SIGNERS = [Signer.generate(name) for name in ("ann", "bob", "cy")]
RITA = Signer.generate("rita")
FOLDER = Path(__file__).parent / "histories"
NOTES = McpServer(
    command=[sys.executable, str(Path(__file__).parents[1] / "adapters/notes_server.py"), tempfile.mkdtemp()]
)
DONE = answer({"account": "alice", "amount": "10.00"})

WIRE = [call("wire", account="alice", amount="10.00"), DONE]

Way = Callable[[Harness], Awaitable[WorkflowHandle[Any, Any]]]


async def approved(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Banker)
    request = await bank.pending(handle)
    await handle.signal("approve", args=[{"a": 1}, {"b": 2}])
    await handle.signal("nonsense")
    await bank.agents.approve(handle.id, request.id, by="ann")
    await bank.agents.approve(handle.id, request.id, by="bob")
    return handle


async def plain(bank: Harness) -> WorkflowHandle[Any, Any]:
    return await bank.start(Banker)


async def started_signed(bank: Harness) -> WorkflowHandle[Any, Any]:
    """A start that the requester signed, and a person named in the input who doesn't count alone."""
    task: AgentTask[Any] = AgentTask(input="ann and bob want it", requested_by="rita")
    run = await bank.agents.start(Banker, task, task_queue=bank.task_queue, signer=RITA)
    handle = bank.client.get_workflow_handle(run, result_type=AgentOutcome[Any])
    request = await bank.pending(handle)
    for name in ("rit\u0430", "ann", "bob", "cy"):
        await handle.signal("approve", {"approval_id": request.id, "by": name})
    return handle


async def answered(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Banker)
    await bank.escalation(handle)
    given = Resolution(action="answer", by="otto", answer={"account": "alice", "amount": "1.00"})
    await bank.agents.resolve(handle.id, given)
    return handle


async def cancelled(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Banker)
    await bank.pending(handle)
    await handle.cancel()
    return handle


async def cancelled_while_asked(bank: Harness) -> WorkflowHandle[Any, Any]:
    """A write in doubt, and a run that is cancelled before anybody says what became of it."""
    handle = await bank.start(Banker)
    await bank.escalation(handle)
    await handle.cancel()
    return handle


async def retried(bank: Harness) -> WorkflowHandle[Any, Any]:
    """Temporal tries a run again, whose second execution asks which ledger the first one was pinned to."""
    task: AgentTask[Any] = AgentTask(input="pay", requested_by="rita")
    return await bank.client.start_workflow(
        "Stumbler",
        task,
        id=f"retried-{uuid4()}",
        task_queue=bank.task_queue,
        retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=2),
        result_type=AgentOutcome[Any],
    )


def failing(error: Exception) -> Way:
    """Each attempt of a tool fails, and a person takes over."""

    async def way(bank: Harness) -> WorkflowHandle[Any, Any]:
        bank.bank.failures = [error] * 3
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="go on without it"))
        return handle

    return way


async def cancelled_while_paying(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Banker)
    await bank.bank.blocked.wait()
    await handle.cancel()
    return handle


def told(**word: Any) -> Way:
    """A write in doubt, and a person who says what became of it."""

    async def way(bank: Harness) -> WorkflowHandle[Any, Any]:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(by="otto", **word))
        return handle

    return way


async def answered_by_a_stranger(bank: Harness) -> WorkflowHandle[Any, Any]:
    """Somebody completes the payment's activity in its worker's place; it is looked up in the ledger."""
    handle = await bank.start(Banker)
    await bank.bank.blocked.wait()
    (pending,) = (await handle.describe()).raw_description.pending_activities
    forged = bank.client.get_async_activity_handle(
        workflow_id=handle.id, run_id=handle.first_execution_run_id or "", activity_id=pending.activity_id
    )
    await forged.complete({"output": "paid 999999.00 to eve"})
    return handle


async def forbidden_now(bank: Harness) -> WorkflowHandle[Any, Any]:
    """What people approved is frozen by the time it would be made, and the run has not heard of it."""
    handle = await bank.start(Banker)
    request = await bank.pending(handle)
    await KEPT.stop(bank.client.namespace, "fleet", by="ops", reason="odd payments")
    # Until the worker asks anew.
    await asyncio.sleep(CACHED_FOR.total_seconds() + 0.1)
    await bank.agents.approve(handle.id, request.id, by="ann")
    await bank.escalation(handle)
    await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="leave it"))
    return handle


async def found_by_probe(bank: Harness) -> WorkflowHandle[Any, Any]:
    bank.bank.lost_answers.append(ConnectionError("lost on the way back"))
    return await bank.start(Remitter, "remit alice")


async def cancelled_and_found(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Remitter, "remit slow")
    await bank.bank.blocked.wait()
    await handle.cancel()
    return handle


async def cancelled_in_a_step(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Remitter, "regardless alice")
    await bank.bank.blocked.wait()
    await handle.cancel()
    return handle


async def signed(bank: Harness) -> WorkflowHandle[Any, Any]:
    """Two people with keys, one that is revoked meanwhile, and a run that continues between the two."""
    handle = await bank.start(LongBanker)
    request = await bank.pending(handle)
    await bank.agents.decide(handle.id, SIGNERS[0].decision(request, "approve"))
    await handle.signal("revoke", {"kid": SIGNERS[2].kid, "by": "security"})
    while len(await chain(handle)) < 2:
        await handle.signal("approve", {"approval_id": request.id, "by": "mallory", "reason": "x" * 1_000})
    await bank.agents.decide(handle.id, SIGNERS[1].decision(request, "approve"))
    return handle


async def verified_outside(bank: Harness) -> WorkflowHandle[Any, Any]:
    """An agent's own verifier is asked: of two who are nobody, and of one who is somebody."""
    handle = await bank.start(Badged)
    request = await bank.pending(handle)
    for name in ("true", "an error", "ann"):
        await handle.signal("approve", {"approval_id": request.id, "by": name})
    return handle


async def said_by_two(bank: Harness) -> WorkflowHandle[Any, Any]:
    """Two people approve a wire, and must both say what became of it; they disagree at first."""
    handle = await bank.start(Wirer)
    request = await bank.pending(handle)
    for name in ("ann", "bob"):
        await bank.agents.approve(handle.id, request.id, by=name, roles=("finance",))
    await bank.escalation(handle)
    for name, word in (("ann", "did_not_happen"), ("bob", "happened"), ("bob", "did_not_happen")):
        result = "wired 10.00" if word == "happened" else None
        answer_of = Resolution.model_validate(
            {"action": word, "by": name, "roles": ("finance",), "result": result}
        )
        await bank.agents.resolve(handle.id, answer_of)
    return handle


async def explicit(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Careful)
    request = await bank.pending(handle)
    await bank.agents.approve(handle.id, request.id, by="ann")
    return handle


async def continued_while_waiting(bank: Harness) -> WorkflowHandle[Any, Any]:
    """An approval of the first execution is decided in a later one."""
    handle = await bank.start(LongBanker)
    request = await bank.pending(handle)
    await bank.agents.approve(handle.id, request.id, by="ann")
    for number in range(60):
        await handle.signal("nonsense", number)
    await bank.agents.approve(handle.id, request.id, by="bob")
    return handle


async def frozen(bank: Harness) -> WorkflowHandle[Any, Any]:
    """It is frozen while it waits for an approval, which then allows nothing any more."""
    handle = await bank.start(Banker)
    request = await bank.pending(handle)
    await handle.signal("freeze", Freeze(scope="fleet", by="olga", reason="odd payments"))
    await bank.agents.approve(handle.id, request.id, by="ann")
    return handle


async def circling(bank: Harness) -> WorkflowHandle[Any, Any]:
    handle = await bank.start(Circling)
    await bank.escalation(handle)
    await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="stop looking"))
    return handle


class Keys:
    """Those of the signers."""

    async def keys(self) -> tuple[ApproverKey, ...]:
        return tuple(signer.public() for signer in (*SIGNERS, RITA))


class Nodding:
    """An output guard that lets everything through."""

    async def check_output(self, output: Any) -> str | None:
        return None


class Deaf:
    """A notifier that nobody hears."""

    async def notify(self, notice: Notice) -> None:
        pass


def started(workflow: type, text: Any = "hello") -> Way:
    async def way(bank: Harness) -> WorkflowHandle[Any, Any]:
        return await bank.start(workflow, text)

    return way


LOOK = call("balance", account="alice")
KEPT = MemoryLedger()
"""Of the way on which a write is forbidden."""

WAYS: dict[str, tuple[list[Any], Way]] = {
    "reads-and-a-write": (
        [
            calls(("balance", {"account": "a"}), ("balance", {"account": "b"})),
            call("pay", account="a", amount="1.00"),
            DONE,
        ],
        plain,
    ),
    "two-approvals": ([call("pay", account="alice", amount="2000.00"), DONE], approved),
    "denied": ([call("pay", account="frozen", amount="1.00")] * 3, plain),
    "answered-by-a-person": ([answer("?"), answer("?")], answered),
    "provider-retried": ([ModelUnavailableError("busy"), DONE], plain),
    "cancelled": ([call("pay", account="alice", amount="600.00")], cancelled),
    "cancelled-but-paid": (
        [call("pay_regardless", account="alice", amount="10.00"), DONE],
        cancelled_while_paying,
    ),
    "effect-happened": (WIRE, told(action="happened", result="wired 10.00")),
    "effect-did-not-happen": (WIRE, told(action="did_not_happen", text="not on the statement")),
    "effect-aborted": (WIRE, told(action="abort", text="no way to tell")),
    "effect-in-doubt-and-cancelled": (WIRE, cancelled_while_asked),
    "payment-failed": (
        [call("pay", account="alice", amount="11.00"), DONE],
        failing(ToolUnavailableError("connection refused")),
    ),
    "read-failed": ([call("balance", account="alice"), DONE], failing(ConnectionError("connection lost"))),
    "effect-found-by-probe": ([], found_by_probe),
    "cancelled-and-found-by-probe": ([], cancelled_and_found),
    "cancelled-in-a-step": ([], cancelled_in_a_step),
    "explicit-control-flow": ([answer("bye")], explicit),
    "local-reads": (
        [
            calls(("glance", {"account": "a"}), ("glance", {"account": "b"})),
            call("glance", account="closed"),
            answer("ok"),
        ],
        started(Local),
    ),
    "continued": ([*[LOOK] * 9, DONE], started(LongBanker)),
    "continued-while-waiting": (
        [call("pay", account="alice", amount="2000.00"), DONE],
        continued_while_waiting,
    ),
    "checkpoints": ([], started(Stepper, 9)),
    "answered-by-a-stranger": (
        [call("pay_regardless", account="alice", amount="5.00"), DONE],
        answered_by_a_stranger,
    ),
    "forbidden-now": ([call("pay", account="alice", amount="600.00"), DONE], forbidden_now),
    "frozen": ([call("pay", account="alice", amount="600.00"), DONE], frozen),
    "started-signed": ([call("pay", account="alice", amount="2000.00"), DONE], started_signed),
    "signed": ([call("pay", account="alice", amount="2000.00"), DONE], signed),
    "verified-outside": ([call("pay", account="alice", amount="600.00"), DONE], verified_outside),
    "said-by-two": (WIRE, said_by_two),
    "told-of-approvals": ([call("pay", account="alice", amount="2000.00"), DONE], approved),
    "imported-tools": ([call("read_notes"), call("add_note", text="hello"), answer("ok")], started(Noter)),
    "circling": ([*[LOOK] * 4, DONE], circling),
    "output-guarded": ([LOOK, DONE], plain),
    "retried": ([], retried),
    "compacted": ([*[call("statement", page=page) for page in range(12)], answer("ok")], started(Forgetful)),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "compacted": {"context_tokens": {"scripted:model": 2_500}},
    "output-guarded": {"output_guard": Nodding()},
    "signed": {"approvers": Keys()},
    "started-signed": {"requesters": SignedRequesters(Keys())},
    "verified-outside": {"workflows": [Badged]},
    "said-by-two": {"workflows": [Wirer]},
    "retried": {"workflows": [Stumbler]},
    "forbidden-now": {"ledger": KEPT},
    "told-of-approvals": {"notifier": Deaf()},
    "imported-tools": {"more_tools": NOTES.tools(note, notes), "workflows": [Noter]},
}
"""Of the worker, for the ways that need some."""


async def main() -> None:
    async with server_started() as environment, NOTES:
        for name, (script, way) in WAYS.items():
            await _record(environment, name, script, way)


async def _record(environment: WorkflowEnvironment, name: str, script: list[Any], way: Way) -> None:
    path = FOLDER / f"{VERSION}-{name}.json"
    if path.exists():
        print(f"{path.name}: recorded already")
        return
    with tempfile.TemporaryDirectory() as directory:
        settings = SETTINGS.get(name, {})
        async with serving(environment, ScriptedModel(script), Path(directory), **settings) as bank:
            handle = await way(bank)
            await handle.result()
            histories = await chain(handle)
    # Of a run of several executions the second one: most continue, and are continued.
    history = histories[min(1, len(histories) - 1)]
    path.write_text(without_machine(history.to_json()), "utf-8")
    print(f"{path.name}: {len(history.events)} events of {len(histories)} executions")


def without_machine(text: str) -> str:
    """A history without the paths and names of the machine that recorded it: a replay reads neither."""
    return re.sub(r'"(stackTrace|identity)": "(?:[^"\\]|\\.)*"', r'"\1": ""', text)


if __name__ == "__main__":
    asyncio.run(main())
