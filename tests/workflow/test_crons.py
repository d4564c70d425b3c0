"""A cron schedule: each of its executions is a run of its own."""

from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.history.executions import Histories
from agentflow.adapters.history.reader import read_run
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.testing import ScriptedModel
from tests.workflow.harness import decoded, eventually, serving
from tests.workflow.reused import LOOKS_FIRST, PAYS, asked, begun, records


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


async def test_each_execution_of_a_cron_schedule_does_its_own_work(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"cron-{uuid4()}"
    async with serving(temporal, ScriptedModel(LOOKS_FIRST), tmp_path, ledger=ledger) as bank:
        handle = await begun(bank, name, cron_schedule="@every 1s")

        async def three() -> bool | None:
            return len(bank.bank.paid) >= 3 or None

        await eventually(three)
        await bank.client.get_workflow_handle(name).terminate()
        assert handle.id == name
    found = await records(ledger)
    assert len({record.chain for record in found}) == len({record.key for record in found}) >= 3


async def test_a_cron_schedule_with_a_retry_policy_is_denied(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        handle = await begun(
            bank, f"cron-{uuid4()}", cron_schedule="@every 1s", retry_policy=RetryPolicy(maximum_attempts=3)
        )
        first = bank.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)

        async def is_over() -> str | None:
            told = decoded((await first.fetch_history()).to_json())
            return told if "must not have a retry policy" in told else None

        told = await eventually(is_over)
        await bank.client.get_workflow_handle(handle.id).terminate()
        assert bank.bank.paid == []
    assert '"denied"' in told


async def test_each_execution_of_a_cron_schedule_is_a_run_of_its_own_to_the_auditor_as_well(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"cron-{uuid4()}"
    async with serving(temporal, ScriptedModel(LOOKS_FIRST), tmp_path, ledger=ledger) as bank:
        await begun(bank, name, cron_schedule="@every 1s")

        async def two() -> bool | None:
            return len(bank.bank.paid) >= 2 or None

        await eventually(two)
        await bank.client.get_workflow_handle(name).terminate()
        listed = [one.run_id async for one in bank.client.list_workflows(f"WorkflowId = '{name}'")]
        runs = [await Histories(bank.client).of(name, run_id) for run_id in listed]
        assert [len(executions) for executions in runs] == [1] * len(listed)
        stories = [await read_run(bank.client.data_converter, name, executions) for executions in runs]
    chains = {record.chain for record in await records(ledger)}
    assert len(chains) >= 2
    assert chains <= {story.first_run_id for story in stories}


async def test_a_plain_run_asks_of_what_a_cron_schedule_of_its_id_has_made(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"cron-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        await begun(bank, name, cron_schedule="@every 1s")

        async def one() -> bool | None:
            return bool(bank.bank.paid) or None

        await eventually(one)
        await bank.client.get_workflow_handle(name).terminate()
        plain = await begun(bank, name)
        effect = await asked(bank, plain)
        await plain.terminate()
        chains = {record.chain for record in await records(ledger) if record.state == "done"}
    assert effect.earlier is not None
    assert effect.earlier.chain in chains
    assert len(bank.bank.paid) == len(chains)
