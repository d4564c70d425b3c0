"""What the plugin wires, and what it refuses."""

import copy
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker, WorkerTuner

from agentflow import AgentflowPlugin, AgentTask, ModelRegistry, ask
from agentflow.errors import AgentflowError, ConfigurationError, WorkflowDefinitionError
from agentflow.plugin import MAX_CONCURRENT_ACTIVITIES
from agentflow.redaction import Redactor
from agentflow.testing import MemoryLedger, ScriptedModel, answer, scripted_plugin
from agentflow.testing.settings import TEST_MODEL, TEST_PRICE, FixedPrices
from agentflow.workflow.sandbox import PASSED_THROUGH
from tests.conftest import temporal_binary
from tests.workflow.agents import Banker
from tests.workflow.stepping_agents import Careful
from tests.workflow.tools import Bank

REGISTRY = ModelRegistry(FixedPrices({TEST_MODEL: TEST_PRICE}), {"default": TEST_MODEL})


@pytest.fixture
async def bare() -> WorkflowEnvironment:  # type: ignore[misc]
    """A dev server as it comes: without the search attributes."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="error"
    )
    async with environment:
        yield environment  # type: ignore[misc]


async def test_a_worker_refuses_to_start_without_the_search_attributes_and_says_what_to_do(
    bare: WorkflowEnvironment,
) -> None:
    plugin = AgentflowPlugin(models=REGISTRY, model_client=ScriptedModel([]), tier="dev")
    client = await bare.connect_client(plugins=[plugin])
    with pytest.raises(ConfigurationError, match="agentflow setup"):
        await Worker(client, task_queue="q", workflows=[Careful]).run()


async def test_search_attributes_can_be_switched_off(bare: WorkflowEnvironment, tmp_path: Path) -> None:
    plugin = AgentflowPlugin(
        models=REGISTRY,
        model_client=ScriptedModel([answer("?")] * 2),
        search_attributes="off",
        tier="dev",
    )
    client = await bare.connect_client(plugins=[plugin])
    async with Worker(client, task_queue="q", workflows=[Banker]):
        task = AgentTask(input="x", requested_by="rita", budget={"model_calls": 0})  # type: ignore[arg-type]
        outcome = await client.execute_workflow("Banker", task, id=f"off-{uuid4()}", task_queue="q")
    assert outcome["status"] == "budget_exhausted"


def test_a_writing_tool_without_a_ledger_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ledger"):
        AgentflowPlugin(tools=[Bank().pay])


def test_models_without_a_client_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="both"):
        AgentflowPlugin(models=REGISTRY)


def test_a_tool_taken_from_the_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tools_of"):
        scripted_plugin(ScriptedModel([]), tools=[Bank.balance], directory=tmp_path)


def test_an_unknown_tier_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no tier 'prod': tier= is one of dev, staging, production"):
        AgentflowPlugin(tier="prod")  # type: ignore[arg-type]


def test_two_tools_of_one_name_are_refused(tmp_path: Path) -> None:
    bank = Bank()
    with pytest.raises(ConfigurationError, match="two tools are named balance"):
        scripted_plugin(ScriptedModel([]), tools=[bank.balance, Bank().balance], directory=tmp_path)


def test_a_tool_with_arguments_that_nobody_named_is_refused(tmp_path: Path) -> None:
    look = copy.copy(Bank().balance)
    schema = look.contract.input_schema | {"additionalProperties": True}
    look.contract = look.contract.model_copy(update={"input_schema": schema})
    with pytest.raises(ConfigurationError, match=r"tool balance takes .* \"additionalProperties\": false"):
        scripted_plugin(ScriptedModel([]), tools=[look], directory=tmp_path)


async def test_agentflows_errors_fail_a_workflow(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    client = await temporal.connect_client(plugins=[scripted_plugin(ScriptedModel([]), directory=tmp_path)])
    worker = Worker(client, task_queue=f"q-{uuid4()}", workflows=[Careful])
    assert AgentflowError in (worker.config(active_config=True).get("workflow_failure_exception_types") or ())


@pytest.mark.parametrize(
    ("given", "slots"),
    [
        ({}, MAX_CONCURRENT_ACTIVITIES),
        ({"max_concurrent_activities": 7}, 7),
        ({"tuner": WorkerTuner.create_fixed(activity_slots=9)}, None),
    ],
    ids=["by default", "as the worker says", "a tuner has its own"],
)
async def test_a_worker_has_slots_for_models_that_take_their_time(
    temporal: WorkflowEnvironment, tmp_path: Path, given: dict[str, Any], slots: int | None
) -> None:
    client = await temporal.connect_client(plugins=[scripted_plugin(ScriptedModel([]), directory=tmp_path)])
    worker = Worker(client, task_queue=f"q-{uuid4()}", workflows=[Careful], **given)
    assert worker.config(active_config=True).get("max_concurrent_activities") == slots


def test_what_workflow_code_imports_is_passed_through_the_sandbox() -> None:
    # In a fresh process: every module that importing a workflow's library part brings in is Temporal's, the
    # standard library's, or on the list. What is not would be imported again for each run.
    code = (
        "import sys, json\n"
        "import temporalio.workflow, temporalio.worker, temporalio.contrib.pydantic\n"
        "before = set(sys.modules)\n"
        "import agentflow.workflow.agent\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    imported = set(json.loads(told))
    known = set(PASSED_THROUGH) | set(sys.stdlib_module_names) | {"temporalio", "google"}
    assert imported - known == set()


@pytest.mark.parametrize("provider", ["TracerProvider()", None], ids=["with", "without"])
def test_temporals_tracing_is_there_where_a_tracer_provider_is_set(provider: str | None) -> None:
    code = (
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        f"if {provider}: trace.set_tracer_provider({provider})\n"
        "from agentflow import AgentflowPlugin\n"
        "print([type(found).__name__ for found in AgentflowPlugin().interceptors])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert ("TracingInterceptor" in told) == (provider is not None)


OPTION_SLIPS = {
    "tier": "prod",
    "search_attributes": "required",
    "models": object(),
    "ledger": "sqlite:///ledger.sqlite",
    "blobs": "memory:",
    "input_guard": MemoryLedger,
    "output_guard": object(),
    "approvers": "trust",
    "notifier": "https://example.com/hook",
    "redactor": Redactor,
    "guard_timeout": 10,
    "ledger_retention": timedelta(0),
    "waiting_every": 30,
    "seals": {"test": b"1" * 32},
    "requesters": "jwks.json",
}


@pytest.mark.parametrize("option", OPTION_SLIPS)
def test_an_option_of_another_type_is_refused_when_the_plugin_is_made(option: str) -> None:
    given: dict[str, Any] = {option: OPTION_SLIPS[option]}
    if option == "models":
        given["model_client"] = ScriptedModel([])
    with pytest.raises(ConfigurationError, match=option):
        AgentflowPlugin(**given)


REGISTRY_SLIPS = {
    "an alias of nothing": {"aliases": {"default": ""}},
    "an alias without a provider": {"aliases": {"default": "gpt-5"}},
    "an alias of another type": {"aliases": {"default": 5}},
    "constrained by a text": {"constrained": "lab:small"},
    "constrained by a bare name": {"constrained": frozenset({"small"})},
    "a context of none": {"context_tokens": {"lab:small": 0}},
    "a context by truth": {"context_tokens": {"lab:small": True}},
    "a context by text": {"context_tokens": {"lab:small": "many"}},
    "prices that are a table": {"prices": {"lab:small": 1}},
}


@pytest.mark.parametrize("slip", REGISTRY_SLIPS)
def test_a_registry_with_a_slip_in_it_is_refused(slip: str) -> None:
    given: dict[str, Any] = {"prices": FixedPrices({}), **REGISTRY_SLIPS[slip]}
    with pytest.raises(ConfigurationError):
        ModelRegistry(**given)


async def test_two_agents_that_look_alike_do_not_share_a_worker(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    client = await temporal.connect_client(plugins=[scripted_plugin(ScriptedModel([]), directory=tmp_path)])
    twin = type("B\u0430nker", (), {})
    with pytest.raises(ConfigurationError, match=r"two agents look alike: 'Banker' and 'B\\u0430nker'"):
        Worker(client, task_queue="q", workflows=[Banker, twin])


def test_an_agent_whose_rules_name_roles_that_look_alike_is_refused() -> None:
    with pytest.raises(WorkflowDefinitionError, match="look alike and differ"):

        class Confused(Banker):
            rules = (
                ask("one", reason="", tools=("pay",), roles=("finance",)),
                ask("two", reason="", tools=("pay",), roles=("fin\u0430nce",)),
            )

            async def run(self, task: AgentTask[str]) -> Any:
                return await self.run_agent(task)
