"""The data converter as Temporal's worker uses it."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, StorageDriverStoreContext, StorageDriverWorkflowInfo

from agentflow import AgentTask
from agentflow.adapters.stores import open_external_storage
from agentflow.converter import agentflow_data_converter


def _of_run(workflow_id: str) -> StorageDriverStoreContext:
    return StorageDriverStoreContext(
        target=StorageDriverWorkflowInfo(namespace="default", id=workflow_id, run_id="1", type="Agent")
    )


@pytest.fixture
def converter(tmp_path: Path) -> DataConverter:
    return replace(agentflow_data_converter, external_storage=open_external_storage(str(tmp_path)))


def test_a_run_has_one_converter_for_what_is_stored_outside_and_no_other_run_has_it(
    converter: DataConverter,
) -> None:
    # The hook of the SDK's that is not public: a release that renames it fails here.
    converter_of = converter._with_store_context  # pyright: ignore[reportPrivateUsage]
    assert converter_of(_of_run("a")) is converter_of(_of_run("a"))
    assert converter_of(_of_run("a")) is not converter_of(_of_run("b"))


class Order(BaseModel):
    """As strict as a user may want it: JSON's text is still an amount."""

    model_config = ConfigDict(strict=True)
    amount: Decimal
    currency: str = "USD"


def test_a_task_is_known_as_it_was_sent_whatever_its_type_fills_in() -> None:
    sent = b'{"input":{"amount":"1.00"},"requested_by":"rita"}'
    payload = Payload(metadata={"encoding": b"json/plain"}, data=sent)
    task = agentflow_data_converter.payload_converter.from_payload(payload, AgentTask[Order])
    assert task.input == Order(amount=Decimal("1.00"))
    assert task.given == {"input": {"amount": "1.00"}, "requested_by": "rita"}
