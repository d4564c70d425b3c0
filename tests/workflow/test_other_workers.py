"""A run that was begun by one kind of worker and is served by another: nothing is written that only one would."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow.adapters.signer import Signer
from agentflow.contracts.escalation import Resolution
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.agents import Banker, BankerEverywhere
from tests.workflow.harness import ALL_AGENTS, Harness, eventually, serving
from tests.workflow.strangers import arguments_of
from tests.workflow.test_forbidden_now import WORKFLOWS_ONLY
from tests.workflow.test_signed import Keys

ANN = Signer.generate("ann", ("finance",))
BOB = Signer.generate("bob", ("finance",))
ASKS = [call("pay", account="alice", amount="600.00"), answer({"account": "alice", "amount": "600.00"})]


async def reason_and_end(bank: Harness, handle: WorkflowHandle[Any, Any]) -> str:
    """Why a person is asked; then the run is let go on, to its end."""
    escalation = await bank.escalation(handle)
    said = Resolution(action="guide", by="otto", text="leave it")
    if escalation.identity == "signed":
        said = BOB.resolution(escalation, said.model_copy(update={"by": "bob"}))
    await bank.agents.resolve(handle.id, said)
    await handle.result()
    return escalation.reason


@pytest.mark.parametrize(
    ("begins", "goes_on", "why"),
    [
        ({"tier": "dev"}, {"tier": "production", "approvers": "trusted"}, "the run is of tier dev"),
        ({"tier": "dev"}, {"tier": "production", "approvers": Keys(ANN)}, "the run is of tier dev"),
        ({"tier": "staging"}, {"tier": "dev"}, "the run is of tier staging"),
        ({"tier": "dev"}, {"tier": "dev", "approvers": Keys(ANN)}, "approvers are trusted"),
    ],
)
async def test_a_run_that_another_kind_of_worker_began_is_not_paid_here(
    temporal: WorkflowEnvironment,
    tmp_path: Path,
    begins: dict[str, Any],
    goes_on: dict[str, Any],
    why: str,
) -> None:
    """An unsigned approval of such a run used to pay on a production worker with approvers' keys."""
    model, queue = ScriptedModel(ASKS), f"other-{tmp_path.name}"
    begins, goes_on = ({**one, "workflows": [BankerEverywhere]} for one in (begins, goes_on))
    async with serving(temporal, model, tmp_path, queue=queue, **begins) as bank:
        handle = await bank.start(BankerEverywhere)
        request = await bank.pending(handle)
    async with serving(temporal, model, tmp_path, queue=queue, bank=bank.bank, **goes_on) as bank:
        await bank.agents.approve(handle.id, request.id, by="ann")
        reason = await reason_and_end(bank, handle)
        log = await bank.agents.decisions(handle.id)
    assert why in reason
    assert bank.bank.paid == []
    assert ("deny", "forbidden_now") in [(line.verdict, line.rule) for line in log]


@pytest.mark.parametrize("left", [(BOB,), (Signer.generate("ann", ("support",), kid=ANN.kid), BOB)])
async def test_a_payment_that_waits_for_a_worker_is_not_made_once_its_approvers_key_is_gone(
    temporal: WorkflowEnvironment, tmp_path: Path, left: tuple[Signer, ...]
) -> None:
    model, queue, keys = ScriptedModel(ASKS), f"gone-{tmp_path.name}", Keys(ANN, BOB)
    async with serving(temporal, model, tmp_path, queue=queue, approvers=keys) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
    plugin = scripted_plugin(model, directory=tmp_path, approvers=keys)
    client = await temporal.connect_client(plugins=[plugin])
    async with Worker(client, task_queue=queue, workflows=ALL_AGENTS, **WORKFLOWS_ONLY):
        await bank.agents.decide(handle.id, ANN.decision(request, "approve"))

        async def is_scheduled() -> bool | None:
            return bool(arguments_of(await handle.fetch_history(), "pay")) or None

        await eventually(is_scheduled)
    now = Keys(*left)
    async with serving(temporal, model, tmp_path, queue=queue, approvers=now, bank=bank.bank) as bank:
        reason = await reason_and_end(bank, handle)
    assert ANN.kid in reason
    assert bank.bank.paid == []
