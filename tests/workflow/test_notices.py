"""People are told of what waits for them, and no run waits for that."""

import asyncio
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.escalation import Resolution
from agentflow.contracts.notice import Notice
from agentflow.errors import NoticeRefusedError, OutsideError
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.deciding_agents import Hierarchic
from tests.workflow.harness import Harness, chain, eventually, replayed, serving

DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = call("pay", account="alice", amount="600.00")


class Told:
    """A notifier that remembers, and fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.notices: list[Notice] = []
        self.failures = list(failures)
        self.open = asyncio.Event()
        self.open.set()

    async def notify(self, notice: Notice) -> None:
        self.notices.append(notice)
        if self.failures:
            raise self.failures.pop(0)
        await self.open.wait()

    async def of(self, count: int) -> list[Notice]:
        async def look() -> list[Notice] | None:
            return self.notices if len(self.notices) >= count else None

        return await eventually(look)


async def decisions(bank: Harness, workflow_id: str, subject: str) -> list[str]:
    return [line.detail for line in await bank.agents.decisions(workflow_id) if line.subject == subject]


async def test_an_approval_is_told_with_all_that_a_decision_needs(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    told = Told()
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path, notifier=told) as bank:
        handle = await bank.start(Banker, tenant="acme")
        asked = await bank.pending(handle)
        (notice,) = await told.of(1)
        await bank.agents.approve(handle.id, asked.id, by="ann")
        outcome = await handle.result()
        history = await handle.fetch_history()
    assert outcome.status == "completed"
    assert (notice.kind, notice.workflow_id, notice.agent, notice.tenant) == (
        "approval.requested",
        handle.id,
        "Banker",
        "acme",
    )
    assert notice.approval == asked
    assert asked.arguments_hash in notice.text
    await replayed(history, Banker)


async def test_a_run_goes_on_while_nobody_can_be_told(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    told = Told()
    told.open.clear()
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path, notifier=told) as bank:
        handle = await bank.start(Banker)
        asked = await bank.pending(handle)
        await told.of(1)
        await bank.agents.approve(handle.id, asked.id, by="ann")
        assert (await handle.result()).status == "completed"
        told.open.set()
        # And nobody is told any more once it is decided.
        history = (await handle.fetch_history()).to_json()
        assert "EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED" in history


async def test_a_notice_is_tried_again_under_the_same_id(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    told = Told(OutsideError("HTTP 503"))
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path, notifier=told) as bank:
        handle = await bank.start(Banker)
        first, second = await told.of(2)
        assert first == second
        assert await decisions(bank, handle.id, "notice") == []
        await handle.terminate()


async def test_a_notice_that_nobody_wants_is_on_record(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    told = Told(NoticeRefusedError("HTTP 410"))
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path, notifier=told) as bank:
        handle = await bank.start(Banker)

        async def look() -> list[str] | None:
            return await decisions(bank, handle.id, "notice") or None

        assert await eventually(look) == ["approval.requested of approval-1 was not delivered: HTTP 410"]
        await bank.agents.approve(handle.id, "approval-1", by="ann")
        assert (await handle.result()).status == "completed"


async def test_other_roles_are_told_when_half_the_time_is_over(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    told = Told()
    async with serving(
        skipping, ScriptedModel([LARGE, DONE]), tmp_path, notifier=told, workflows=[Hierarchic]
    ) as bank:
        handle = await bank.start(Hierarchic)
        outcome = await handle.result()
        history = await handle.fetch_history()
    assert [notice.kind for notice in told.notices] == ["approval.requested", "approval.next_roles"]
    assert len({notice.id for notice in told.notices}) == 2
    assert outcome.status == "completed"
    await replayed(history, Hierarchic)


async def test_an_escalation_is_told(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    told = Told()
    model = ScriptedModel([call("no_such_tool"), call("no_such_tool"), DONE])
    async with serving(temporal, model, tmp_path, notifier=told) as bank:
        handle = await bank.start(Banker)
        open_one = await bank.escalation(handle)
        (notice,) = await told.of(1)
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="ann", text="answer now"))
        await handle.result()
    assert (notice.kind, notice.escalation) == ("escalation.opened", open_one)
    assert open_one.reason[:20] in notice.text


async def test_what_was_not_delivered_is_told_again_when_the_run_continues_as_new(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    told = Told()
    told.open.clear()
    looks: list[Any] = [call("balance", account="alice")] * 4
    model = ScriptedModel([*looks, LARGE, *looks * 3, DONE])
    async with serving(temporal, model, tmp_path, notifier=told) as bank:
        handle = await bank.start(LongBanker)
        asked = await bank.pending(handle)
        # Refused decisions make the history long enough to go on in another execution.
        for _ in range(40):
            await handle.signal("approve", {"approval_id": "approval-9", "by": "eve"})

        async def continued() -> bool | None:
            return len(await chain(handle)) > 1 or None

        await eventually(continued)
        first, second = (await told.of(2))[:2]
        told.open.set()
        assert (first.id, second.id) == (second.id, first.id)
        await bank.agents.approve(handle.id, asked.id, by="ann")
        assert (await handle.result()).status == "completed"


async def test_without_a_notifier_nothing_is_scheduled(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        asked = await bank.pending(handle)
        await bank.agents.approve(handle.id, asked.id, by="ann")
        await handle.result()
        history = (await handle.fetch_history()).to_json()
    assert '"name": "notify"' not in history
