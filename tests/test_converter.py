"""The data converter as Temporal's worker uses it."""

from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.converter import DataConverter, StorageDriverStoreContext, StorageDriverWorkflowInfo

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
