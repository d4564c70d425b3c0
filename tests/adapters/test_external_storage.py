"""Values that are too big for history go outside it, and are never taken for others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHandle
from temporalio.converter import (
    ExternalStorage,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from agentflow import AgentflowPlugin, AgentOutcome, ToolOptions, tool
from agentflow.adapters.directory_storage import DirectoryStorageDriver
from agentflow.adapters.stores import open_external_storage
from agentflow.contracts.messages import ToolMessage
from agentflow.errors import ConfigurationError, StoredValueError
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.adapters.s3_server import S3Server
from tests.workflow.agents import LongBanker
from tests.workflow.chatting_agents import Forgetful
from tests.workflow.harness import serving
from tests.workflow.tools import Bank

MEGABYTES = 10
BIG = {"size": MEGABYTES * 1024 * 1024, "page": 7}


class Archive(Bank):
    @tool(effect="read", options=ToolOptions(max_result_bytes=16 * 1024 * 1024, max_told_bytes=1_000))
    async def statement(self, page: int, size: int = 500) -> str:
        """A page of the account's statement."""
        return f"page {page} " + "x" * size


Storage = Callable[[], ExternalStorage]


@pytest.fixture(params=["directory", "s3"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> Storage:
    """Opens one place, again and again."""
    address = (
        str(tmp_path / "values") if request.param == "directory" else s3.url(await s3.new_bucket(), "values")
    )
    return lambda: open_external_storage(address)


async def test_an_output_of_ten_megabytes_is_outside_history_and_the_model_sees_the_beginning(
    temporal: WorkflowEnvironment, tmp_path: Path, storage: Storage
) -> None:
    model = ScriptedModel([call("statement", **BIG), answer("ok")])
    async with serving(temporal, model, tmp_path, external_storage=storage(), bank=Archive()) as bank:
        handle = await bank.start(Forgetful)
        outcome = await handle.result()
        history = await handle.fetch_history()
        again = Replayer(workflows=[Forgetful], plugins=[AgentflowPlugin(external_storage=storage())])
        await again.replay_workflow(history)
    assert outcome.status == "completed"
    (told,) = [m.content or "" for m in model.requests[-1].messages if isinstance(m, ToolMessage)]
    assert f"of {BIG['size'] + 9} bytes" in told
    assert sum(event.ByteSize() for event in history.events) < 100_000


async def test_a_long_run_takes_along_more_than_a_payload_takes(
    temporal: WorkflowEnvironment, tmp_path: Path, storage: Storage
) -> None:
    model = ScriptedModel([*[call("balance", account="alice")] * 12, answer({"account": "a", "amount": "1"})])
    outside = storage()
    small = ExternalStorage(drivers=outside.drivers, payload_size_threshold=2_000)
    async with serving(temporal, model, tmp_path, external_storage=small) as bank:
        outcome = await bank.run(LongBanker)
    assert outcome.status == "completed"
    assert len(outcome.tool_calls) == 12


async def test_without_the_storage_a_client_is_told_what_is_missing(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    small = open_external_storage(str(tmp_path / "values"), threshold=10)
    async with serving(temporal, ScriptedModel([answer("ok")]), tmp_path, external_storage=small) as bank:
        handle = await bank.start(Forgetful)
        await handle.result()
    plain = await temporal.connect_client(plugins=[AgentflowPlugin()])
    reader: WorkflowHandle[Any, Any] = plain.get_workflow_handle(handle.id, result_type=AgentOutcome[str])
    with pytest.raises(Exception, match=r"(?i)external storage"):
        await reader.result()


async def test_a_tool_that_says_more_than_a_payload_takes_needs_the_storage(tmp_path: Path) -> None:
    @tool(effect="read", options=ToolOptions(max_result_bytes=10 * 1024 * 1024))
    async def dump() -> str:
        """Everything."""
        return ""

    with pytest.raises(ConfigurationError, match="external_storage="):
        scripted_plugin(ScriptedModel([]), tools=[dump])
    scripted_plugin(
        ScriptedModel([]), tools=[dump], external_storage=open_external_storage(str(tmp_path / "values"))
    )


# ---------------------------------------------------------------- the directory


TARGET = StorageDriverStoreContext(
    target=StorageDriverWorkflowInfo(namespace="default", id="../../a run: with \\ odd * name?")
)


def everything(directory: Path) -> list[Path]:
    return list(directory.rglob("*"))


async def stored(driver: DirectoryStorageDriver, text: bytes = b"value") -> StorageDriverClaim:
    (claim,) = await driver.store(TARGET, [Payload(data=text)])
    return claim


async def retrieved(driver: DirectoryStorageDriver, claim: StorageDriverClaim) -> Payload:
    (payload,) = await driver.retrieve(StorageDriverRetrieveContext(), [claim])
    return payload


async def test_a_value_comes_back_as_it_was(tmp_path: Path) -> None:
    driver = DirectoryStorageDriver(tmp_path)
    payload = Payload(metadata={"encoding": b"json/plain"}, data=bytes(range(256)))
    (claim,) = await driver.store(TARGET, [payload])
    assert await retrieved(DirectoryStorageDriver(tmp_path), claim) == payload


async def test_whatever_a_workflow_is_called_its_values_stay_in_the_directory(tmp_path: Path) -> None:
    await stored(DirectoryStorageDriver(tmp_path / "values"))
    names = [path.name for path in everything(tmp_path)]
    assert [path.name for path in everything(tmp_path) if path.parent == tmp_path] == ["values"]
    assert not any(set(name) & set('<>:"/\\|?*') or name.endswith((".", " ")) for name in names)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b.replace(b"value", b"valuE"), lambda _: b""])
async def test_a_value_that_was_altered_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    driver = DirectoryStorageDriver(tmp_path)
    claim = await stored(driver)
    (file,) = [path for path in everything(tmp_path) if path.is_file()]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StoredValueError, match="restore it from a backup"):
        await retrieved(driver, claim)


async def test_a_value_that_is_gone_is_said_so_with_its_place(tmp_path: Path) -> None:
    driver = DirectoryStorageDriver(tmp_path)
    claim = await stored(driver)
    (file,) = [path for path in everything(tmp_path) if path.is_file()]
    file.unlink()
    with pytest.raises(StoredValueError, match=file.name):
        await retrieved(driver, claim)


@pytest.mark.parametrize("place", ["", "../secret", "a/../../secret", "/etc/passwd", "C:/secret", "a\\b"])
async def test_a_reference_can_not_lead_out_of_the_directory(tmp_path: Path, place: str) -> None:
    claim = StorageDriverClaim({"place": place, "sha256": "0"})
    with pytest.raises(StoredValueError, match="malformed"):
        await retrieved(DirectoryStorageDriver(tmp_path), claim)


async def test_a_directory_that_can_not_be_written_fails_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        await stored(DirectoryStorageDriver(tmp_path / "file"))


@pytest.mark.parametrize("address", ["", "memory:", "ftp://x", "s3://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="no address of external storage"):
        open_external_storage(address)
