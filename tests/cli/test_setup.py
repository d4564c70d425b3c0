"""``agentflow setup``: search attributes in a namespace."""

from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.names import SEARCH_ATTRIBUTES
from tests.cli.harness import CommandLine, eventually


@pytest.fixture
async def bare_namespace(temporal: WorkflowEnvironment) -> str:
    """A namespace without any search attribute of ours."""
    name = f"bare-{uuid4()}"
    request = RegisterNamespaceRequest(
        namespace=name, workflow_execution_retention_period=Duration(seconds=86400)
    )
    await temporal.client.workflow_service.register_namespace(request)
    return name


def ready(agentflow: CommandLine, namespace: str) -> None:
    """A namespace that was just registered isn't known to all of the server at once."""
    eventually(lambda: agentflow("--namespace", namespace, "runs", "--json").exit_code == 2)


def test_a_bare_namespace_gets_every_search_attribute(agentflow: CommandLine, bare_namespace: str) -> None:
    ready(agentflow, bare_namespace)
    done = agentflow("--namespace", bare_namespace, "setup", "--json")
    assert done.exit_code == 0, done.stderr
    assert set(done.document["added"]) == set(SEARCH_ATTRIBUTES)


def test_runs_can_be_listed_as_soon_as_it_is_done(agentflow: CommandLine, bare_namespace: str) -> None:
    ready(agentflow, bare_namespace)
    agentflow("--namespace", bare_namespace, "setup")
    assert agentflow("--namespace", bare_namespace, "runs", "--json").document == {"runs": []}


def test_a_second_time_changes_nothing(agentflow: CommandLine, bare_namespace: str) -> None:
    ready(agentflow, bare_namespace)
    agentflow("--namespace", bare_namespace, "setup")
    again = agentflow("--namespace", bare_namespace, "setup", "--json")
    assert again.exit_code == 0
    assert again.document["added"] == []
    assert set(again.document["present"]) == set(SEARCH_ATTRIBUTES)


async def test_an_attribute_of_another_type_is_refused_with_what_to_do(
    agentflow: CommandLine, bare_namespace: str, temporal: WorkflowEnvironment
) -> None:
    ready(agentflow, bare_namespace)
    wrong = {"AgentCostUsd": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD}
    await temporal.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=bare_namespace, search_attributes=wrong)
    )
    done = agentflow("--namespace", bare_namespace, "setup", "--json")
    assert done.exit_code == 2
    assert "AgentCostUsd of type Keyword, and agentflow needs Double" in done.error
    assert "temporal operator search-attribute remove --name AgentCostUsd" in done.error


def test_a_namespace_that_does_not_exist_is_not_found(agentflow: CommandLine) -> None:
    assert agentflow("--namespace", "nowhere", "setup").exit_code == 4


def test_without_it_a_list_says_what_to_run(agentflow: CommandLine, bare_namespace: str) -> None:
    ready(agentflow, bare_namespace)
    assert "run `agentflow setup`" in agentflow("--namespace", bare_namespace, "runs").stderr
