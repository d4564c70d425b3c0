"""Every cent that was billed is in every report, however a run ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentTask
from agentflow.adapters.history.executions import Histories
from agentflow.adapters.history.finding import end_of
from agentflow.adapters.history.reader import read_run
from agentflow.adapters.history.spent import spent_by
from agentflow.adapters.run_timeline import timeline_of
from agentflow.cli.visibility import find_runs, runs_query, with_spending
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import Harness, chain, eventually, serving
from tests.workflow.metered_agents import LongShopper, Metered, Shop, Shopper, Waiting
from tests.workflow.outside_doors import reset_to

LOOKS = call("look_up", item="tea")
ORDERS = call("order", item="tea")
Handle = WorkflowHandle[Any, Any]


@dataclass
class Case:
    """A way to end."""

    agent: type = Shopper
    lines: tuple[Any, ...] = (LOOKS, ORDERS, answer("done"))
    text: str = "go"
    shop: Callable[[], Shop] = Shop
    ends: Callable[[Harness, Handle], Awaitable[object]] | None = None
    task: dict[str, Any] | None = None
    exact: bool = True
    """Whether all that was billed was heard of: else more may be reported, as possibly billed."""


async def result(_: Harness, handle: Handle) -> None:
    await handle.result()


async def fails(_: Harness, handle: Handle) -> None:
    with pytest.raises(WorkflowFailureError):
        await handle.result()


async def sleeps(handle: Handle) -> None:
    async def look() -> bool | None:
        timers = [event.timer_started_event_attributes for event in (await handle.fetch_history()).events]
        # Another one is the run's wall time.
        return True if any(each.start_to_fire_timeout.seconds == 86_400 for each in timers) else None

    await eventually(look)


async def terminated_asleep(_: Harness, handle: Handle) -> None:
    await sleeps(handle)
    await handle.terminate()


async def cancelled_asleep(_: Harness, handle: Handle) -> None:
    await sleeps(handle)
    await handle.cancel()
    await handle.result()


async def terminated_in_a_call(bank: Harness, handle: Handle) -> None:
    shop: Any = bank.bank
    await shop.reached.wait()
    await handle.terminate()


async def terminated_later(_: Harness, handle: Handle) -> None:
    async def look() -> bool | None:
        return True if len(await chain(handle)) > 2 else None

    await eventually(look)
    await handle.terminate()


async def reset(bank: Harness, handle: Handle) -> None:
    await handle.result()
    await reset_to(bank, handle.id, (await handle.describe()).run_id, 4)
    await bank.client.get_workflow_handle(handle.id).result()


async def times_out(_: Harness, handle: Handle) -> None:
    with pytest.raises(WorkflowFailureError):
        await handle.result()


CASES = {
    "completed": Case(ends=result),
    "after lost answers": Case(ends=result, shop=lambda: Shop(losing=2)),
    "denied": Case(ends=result, lines=(LOOKS, answer("withhold this"))),
    "budget exhausted": Case(ends=result, task={"budget": {"cost_usd": "0.15"}}),
    "failed by a bug": Case(Waiting, text="stumble", ends=fails),
    "terminated asleep": Case(Waiting, ends=terminated_asleep),
    "cancelled asleep": Case(Waiting, ends=cancelled_asleep),
    "terminated in a call": Case(
        ends=terminated_in_a_call, shop=lambda: Shop(hangs=True), lines=(LOOKS,), exact=False
    ),
    "timed out by the server": Case(Waiting, ends=times_out),
    "continued as new, then terminated": Case(
        LongShopper, lines=(LOOKS,) * 29, ends=terminated_later, exact=False
    ),
    "reset": Case(ends=reset),
}


async def reports(bank: Harness, handle: Handle) -> dict[str, Decimal]:
    """What each report says that a run has cost."""
    client = bank.client
    found = await Histories(client).of(handle.id)
    story = await read_run(client.data_converter, handle.id, found)
    end = end_of(story.findings)
    assert end is not None

    async def listed() -> list[Any] | None:
        rows = await find_runs(client, runs_query(extra=f"WorkflowId = '{handle.id}'"), 10)
        return rows if rows and all(row.closed for row in rows) else None

    rows = await with_spending(client, await eventually(listed))
    return {
        "history": (await spent_by(client, handle.id)).cost_usd,
        "show": (await timeline_of(client, handle.id)).cost_usd,
        "audit": Decimal(str(end.facts["cost_usd"])),
        "runs and cost": sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0)),
    }


@pytest.mark.parametrize("how", CASES)
async def test_every_report_has_every_cent(temporal: WorkflowEnvironment, tmp_path: Path, how: str) -> None:
    case = CASES[how]
    shop = case.shop()
    model = Metered(ScriptedModel(list(case.lines)))
    workflows: Any = [Shopper, Waiting, LongShopper]
    async with serving(temporal, model, tmp_path, bank=shop, workflows=workflows) as bank:
        if case.ends is times_out:
            task: Any = AgentTask(input=case.text, requested_by="rita")
            options: Any = {"execution_timeout": timedelta(seconds=5)}
            handle: Handle = await bank.client.start_workflow(
                case.agent.__name__, task, id=f"late-{tmp_path.name}", task_queue=bank.task_queue, **options
            )
        else:
            handle = await bank.start(case.agent, case.text, **(case.task or {}))
        assert case.ends is not None
        await case.ends(bank, handle)
        said = await reports(bank, handle)
    billed = shop.billed + model.billed
    assert billed > 0
    if how == "reset":
        # The audit is of the execution that stands.
        del said["audit"]
    if case.exact:
        assert said == dict.fromkeys(said, billed)
    else:
        assert len(set(said.values())) == 1
        assert all(billed <= cost for cost in said.values())
