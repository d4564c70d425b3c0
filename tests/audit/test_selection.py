"""Which runs an export is of, on a real server."""

from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from agentflow.audit.export import export
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import RunId, SelectedRun, from_server
from agentflow.contracts.bundle import BundleManifest
from agentflow.testing import ScriptedModel, answer, call
from tests.audit.places import Desk
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import Harness, serving
from tests.workflow.parent_agents import Child, Parent

REPORT = answer({"account": "alice", "amount": "10.00"})
LOOK = call("balance", account="alice")


async def selected(bank: Harness, *runs: RunId, children: bool = False) -> list[SelectedRun]:
    return [run async for run in from_server(bank.client, runs, children=children)]


async def exported(bank: Harness, place: Path, *runs: RunId, children: bool = False) -> BundleManifest:
    return await export(
        from_server(bank.client, runs, children=children),
        place / "bundle",
        "some",
        Desk(place / "home").settings(),
        converter=bank.client.data_converter,
        replayed=ReplayedRuns([Banker, LongBanker, Parent, Child], bank.client.namespace),
    )


async def test_a_run_comes_with_the_runs_that_it_started(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(
        temporal, ScriptedModel([answer("hello")]), tmp_path, workflows=[Parent, Child]
    ) as bank:
        handle = await bank.start(Parent)
        await handle.result()
        alone = await selected(bank, (handle.id, None))
        manifest = await exported(bank, tmp_path, (handle.id, None), children=True)
    assert [run.workflow_id for run in alone] == [handle.id]
    assert [run.workflow_id for run in manifest.runs] == [handle.id, f"{handle.id}-child"]
    # The parent is no agent's run, and nothing of it is known but its history.
    assert [gap for run in manifest.runs for gap in run.gaps] == ["foreign_workflow"]


async def test_all_executions_of_a_run_come_whichever_is_named(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([*[LOOK] * 12, REPORT]), tmp_path) as bank:
        handle = await bank.start(LongBanker)
        await handle.result()
        (whole,) = await selected(bank, (handle.id, None))
        ids = [execution.run_id for execution in whole.executions]
        (by_first,) = await selected(bank, (handle.id, ids[0]))
        manifest = await exported(bank, tmp_path, (handle.id, ids[1]))
    assert len(ids) > 1
    assert [execution.run_id for execution in by_first.executions] == ids
    assert manifest.runs[0].executions == tuple(ids)
    assert manifest.gaps == 0


async def test_of_two_runs_with_one_workflow_id_each_can_be_named(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([REPORT]), tmp_path) as bank:
        first = await bank.start(Banker)
        await first.result()
        first_id = (await first.describe()).run_id
        again = await bank.client.start_workflow(
            "Banker",
            {"input": "again", "requested_by": "rita"},
            id=first.id,
            task_queue=bank.task_queue,
        )
        await again.result()
        runs = [(first.id, first_id), (first.id, again.first_execution_run_id)]
        manifest = await exported(bank, tmp_path, *runs)
    assert [run.first_run_id for run in manifest.runs] == [run_id for _, run_id in runs]
    assert len({run.key_id for run in manifest.runs}) == 2


async def test_a_run_that_the_server_no_longer_has_is_a_gap(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    gone = "01a20546-ccc3-7424-8ca2-b78a0a85d261"
    async with serving(temporal, ScriptedModel([REPORT]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await handle.result()
        manifest = await exported(bank, tmp_path, ("nobody", gone), (handle.id, None))
    assert [(run.status, run.gaps) for run in manifest.runs] == [
        ("unknown", ("history_expired",)),
        ("completed", ()),
    ]
    assert (await Desk(tmp_path / "home").verify(tmp_path / "bundle")).ok
