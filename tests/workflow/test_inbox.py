"""What waits for people is found over all runs, without asking each."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.visibility import approvals_query, quoted
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.contracts.budget import Usage
from agentflow.contracts.model import ModelAnswer
from agentflow.contracts.names import APPROVALS_MEMO
from agentflow.inbox import ApprovalFilter, Inbox, RunApprovals, _altered
from agentflow.testing import ScriptedModel, answer, call
from tests.core.samples import approval_request
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.deciding_agents import Hierarchic
from tests.workflow.harness import Harness, chain, eventually, serving

DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = call("pay", account="alice", amount="600.00")


async def listed(bank: Harness, run: WorkflowHandle[Any, Any], **wanted: Any) -> RunApprovals:
    """The run in the inbox, as soon as visibility has it there."""

    async def look() -> RunApprovals | None:
        found = await Inbox(bank.agents).pending(ApprovalFilter(**wanted))
        return next((one for one in found if one.workflow_id == run.id), None)

    return await eventually(look)


async def gone(bank: Harness, run: WorkflowHandle[Any, Any]) -> None:
    async def look() -> bool | None:
        found = await Inbox(bank.agents).pending(ApprovalFilter())
        return run.id not in [one.workflow_id for one in found] or None

    await eventually(look)


async def test_a_pending_action_is_listed_whole_until_it_is_decided(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, tenant="acme")
        asked = await bank.pending(handle)
        found = await listed(bank, handle)
        assert (found.agent, found.tenant, found.problem) == ("Banker", "acme", None)
        assert list(found.approvals) == [asked]
        await bank.agents.approve(handle.id, asked.id, by="ann")
        await handle.result()
        await gone(bank, handle)
        assert await (await handle.describe()).memo_value(APPROVALS_MEMO, None) is None


async def test_a_list_asks_no_worker(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.pending(handle)
        await listed(bank, handle)
    # Its worker is gone by now.
    found = await listed(bank, handle)
    assert [request.arguments for request in found.approvals] == [{"account": "alice", "amount": "600.00"}]
    await handle.terminate()


async def test_only_what_is_wanted_is_listed(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    tenant = f"tenant-{uuid4()}"
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, tenant=tenant)
        await listed(bank, handle)
        inbox = Inbox(bank.agents)

        async def count(**wanted: Any) -> int:
            return len(await inbox.pending(ApprovalFilter(tenant=tenant, **wanted)))

        assert await count() == 1
        assert await count(agent="Banker", tool="pay", rule="large", roles=("anything",)) == 1
        assert [await count(agent="Other"), await count(tool="wire"), await count(rule="huge")] == [0, 0, 0]
        assert await count(query="AgentCostUsd > 1000") == 0
        assert len(await inbox.pending(ApprovalFilter(tenant="nobody' OR '1'='1"))) == 0
        await handle.terminate()


async def test_roles_are_found_as_they_come_to_count(skipping: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(skipping, ScriptedModel([LARGE, DONE]), tmp_path, workflows=[Hierarchic]) as bank:
        handle = await bank.start(Hierarchic)
        asked = await bank.pending(handle)
        first, later = asked.quorum.roles[0], asked.quorum.next_roles[0]
        assert asked.next_roles_from is not None
        (request,) = (await listed(bank, handle, roles=(first,))).approvals
        wanted = ApprovalFilter(roles=(later,))
        assert not wanted.fits(request, asked.next_roles_from - timedelta(seconds=1))
        assert wanted.fits(request, asked.next_roles_from)
        await handle.terminate()


async def test_a_run_that_continued_as_new_is_still_listed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    looks = [call("balance", account="alice")] * 12
    async with serving(temporal, ScriptedModel([*looks, LARGE, DONE]), tmp_path) as bank:
        handle = await bank.start(LongBanker)
        asked = await bank.pending(handle)
        assert len(await chain(handle)) > 1
        assert list((await listed(bank, handle)).approvals) == [asked]
        await handle.terminate()


async def test_an_action_too_long_for_a_list_is_asked_of_its_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    asking = call("pay", account="alice", amount=f"600.{'0' * 20_000}")
    long = ModelAnswer(
        message=asking,
        # As few tokens as a model could have for so many zeros: more would be above what it may answer.
        usage=Usage(input_tokens=2_000, output_tokens=200),
        response_model="model",
        finish_reason="tool_calls",
    )
    async with serving(temporal, ScriptedModel([long, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        asked = await bank.pending(handle)
        assert await (await handle.describe()).memo_value(APPROVALS_MEMO, None) is None
        assert list((await listed(bank, handle)).approvals) == [asked]
        await handle.terminate()


async def test_many_are_decided_at_once_and_those_that_do_not_count_are_told(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    tenant = f"tenant-{uuid4()}"
    async with serving(temporal, ScriptedModel([LARGE, DONE]), tmp_path) as bank:
        handles = [await bank.start(Banker, f"case {n}", tenant=tenant) for n in range(8)]
        inbox = Inbox(bank.agents)

        async def all_there() -> Sequence[RunApprovals] | None:
            found = await inbox.pending(ApprovalFilter(tenant=tenant))
            return found if len(found) == 8 else None

        found = await eventually(all_there)
        decisions = [
            (run.workflow_id, approved(request, "rita" if run.workflow_id == handles[0].id else "ann"))
            for run in found
            for request in run.approvals
        ]
        told: list[Any] = []
        done = await inbox.decide(decisions, told=told.append)
        assert len(told) == 8
        problems = {one.workflow_id: one.problem for one in done if one.problem}
        assert list(problems) == [handles[0].id]
        assert "rita asked for this run" in str(problems[handles[0].id])
        outcomes = [await handle.result() for handle in handles[1:]]
        assert {outcome.status for outcome in outcomes} == {"completed"}
        assert len(bank.bank.paid) == 7
        # What was decided already does not count again.
        again = await inbox.decide(decisions[:1] + decisions[-1:])
        assert all(one.problem for one in again)
        await handles[0].terminate()


def approved(request: ApprovalRequest, by: str) -> ApprovalDecision:
    return ApprovalDecision(
        approval_id=request.id, by=by, arguments_hash=request.arguments_hash, verdict="approve"
    )


def test_arguments_that_are_not_those_of_the_hash_are_told() -> None:
    request = approval_request(arguments={"amount": "9"})
    assert _altered([request]) is None
    other = request.model_copy(update={"arguments": {"amount": "900"}})
    assert "do not decide on it" in str(_altered([other]))


def test_a_name_in_a_query_can_not_end_its_string() -> None:
    assert quoted("a' OR 'b'='b") == "'a'' OR ''b''=''b'"
    query = approvals_query(agent="x\\", roles=("fi'nance",))
    assert "AgentName = 'x\\\\'" in query
    assert "IN ('fi''nance', '*')" in query


def test_the_memo_is_what_the_query_answers() -> None:
    request = approval_request(people=2, roles=("finance",))
    document = json.loads(json.dumps([request.model_dump(mode="json")]))
    assert ApprovalRequest.model_validate(document[0]) == request
    assert ApprovalFilter(roles=("ops",)).fits(request, datetime.now(UTC)) is False
