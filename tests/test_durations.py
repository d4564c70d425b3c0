"""Every option that is a length of time has a least value: found by looking, so that a new one is not forgotten."""

import dataclasses
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, cast, get_args, get_origin

import pytest
from pydantic import TypeAdapter, ValidationError

import agentflow
import agentflow.contracts
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.dynamodb_ledger import DynamoDBLedger
from agentflow.adapters.local_model import LocalModel
from agentflow.adapters.postgres_ledger import PostgresLedger
from agentflow.adapters.process import LocalProcess
from agentflow.adapters.requesters import SignedRequesters
from agentflow.adapters.s3_client import S3Bucket
from agentflow.adapters.signer import Signer
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.audit.reexecute.running import Again
from agentflow.contracts.tools import RetryOptions, ToolOptions
from agentflow.contracts.wire import LEAST_DURATION, Contract
from agentflow.errors import ConfigurationError, WorkflowDefinitionError
from agentflow.plugin import AgentflowPlugin
from agentflow.telemetry.redactor import Redactor
from agentflow.workflow.agent import AgentWorkflow

NO_TIME = [timedelta(0), timedelta(seconds=-1), -timedelta(days=400)]

MAY_BE_NOTHING = {
    # Nothing is begun any more, or it was written just now.
    "EffectRecord.lease",
    "StoredEffect.age",
    # A system that carries nothing out late.
    "ToolOptions.max_effect_delay",
    # A process that is killed at once.
    "adapters.process.LocalProcess.grace",
}

OPTIONS: dict[str, Callable[[Any], object]] = {
    "adapters.dev_server.DevServer.timeout": lambda given: DevServer(timeout=given),
    "adapters.dynamodb_ledger.DynamoDBLedger.timeout": lambda given: DynamoDBLedger("t", timeout=given),
    "adapters.local_model.LocalModel.timeout": lambda given: LocalModel(Path("model"), timeout=given),
    "adapters.postgres_ledger.PostgresLedger.timeout": lambda given: PostgresLedger("", timeout=given),
    "adapters.process.LocalProcess.timeout": lambda given: LocalProcess(
        "p", ["p"], ready=ready, timeout=given
    ),
    "adapters.process.LocalProcess.grace": lambda given: LocalProcess("p", ["p"], ready=ready, grace=given),
    "adapters.requesters.SignedRequesters.longest": lambda given: SignedRequesters(
        cast(Any, None), longest=given
    ),
    "adapters.s3_client.S3Bucket.timeout": lambda given: S3Bucket("bucket", timeout=given),
    "adapters.sqlite_ledger.SQLiteLedger.busy_timeout": lambda given: SQLiteLedger(Path("l"), given),
    "audit.reexecute.running.Again.timeout": lambda given: Again(AgentWorkflow, timeout=given),
    "plugin.AgentflowPlugin.guard_timeout": lambda given: AgentflowPlugin(guard_timeout=given),
    "plugin.AgentflowPlugin.ledger_retention": lambda given: AgentflowPlugin(ledger_retention=given),
    "plugin.AgentflowPlugin.waiting_every": lambda given: AgentflowPlugin(waiting_every=given),
    "telemetry.redactor.Redactor.timeout": lambda given: Redactor(timeout=given),
}
"""What somebody gives to make something, and how."""

INNER = {
    # Given the plugin's or a contract's, or a constant's.
    "activity.guards.OutputGuardActivity.timeout",
    "activity.outliving.Outlived.delay",
    "activity.outliving.Outlived.lease",
    "activity.outliving.Outlived.patience",
    "activity.permits.WritePermits.cached_for",
    "activity.permits.WritePermits.heard_within",
    "activity.stops.StopReader.cached_for",
    "activity.stops.StopReader.heard_within",
    "activity.own_ledger.MissingTraces.since",
    "adapters.dynamodb_client.DynamoDB.timeout",
    "adapters.postgres_server.PostgresServer.timeout",
    "adapters.freezes.Freezes.settled_within",
    "adapters.ledger_purge.LedgerPurge.retention",
    "core.effects.Abandoned.since_first",
    "core.effects.Busy.wait",
    "errors.EffectBusyError.retry_after",
    "errors.ModelUnavailableError.retry_after",
    "errors.OutsideError.retry_after",
    "errors.ToolUnavailableError.retry_after",
    "testing.faults.Stall.duration",
    "workflow.failures.Failure.wait",
    "workflow.effects._Time.longest",
    "workflow.definition.AgentDefinition.approval_timeout",
    "workflow.definition.AgentDefinition.escalation_timeout",
    "workflow.wall_clock.WallClock.left",
}
"""Lengths of time that nobody chooses where they are given."""


async def ready() -> bool:
    return True


def classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(agentflow.__path__, "agentflow."):
        if not module.name.endswith("__main__"):
            for thing in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(thing) and thing.__module__ == module.name:
                    yield thing


def is_time(kind: object) -> bool:
    return kind is timedelta or "timedelta" in str(kind)


def found_options() -> set[str]:
    """What classes take to be made, by where it is."""
    return {
        f"{kind.__module__}.{kind.__name__}.{name}".removeprefix("agentflow.")
        for kind in classes()
        if not issubclass(kind, Contract) and ("__init__" in vars(kind) or dataclasses.is_dataclass(kind))
        for name, parameter in inspect.signature(kind).parameters.items()
        if is_time(parameter.annotation)
    }


def fields() -> dict[str, TypeAdapter[Any]]:
    """The fields of contracts that are lengths of time, each as it is validated."""
    return {
        f"{kind.__name__}.{name}": TypeAdapter(cast(Any, field).rebuild_annotation())
        for kind in classes()
        if issubclass(kind, Contract)
        for name, field in kind.model_fields.items()
        if is_time(field.annotation)
    }


FIELDS = fields()


def test_every_option_that_is_a_length_of_time_is_in_the_table() -> None:
    assert found_options() == OPTIONS.keys() | INNER


def test_the_fields_of_contracts_are_found() -> None:
    assert {"ToolOptions.heartbeat_timeout", "Budget.wall_time", "RequesterPolicy.longest"} <= FIELDS.keys()
    assert len(FIELDS) >= 18
    assert FIELDS.keys() | OPTIONS.keys() >= MAY_BE_NOTHING


@pytest.mark.parametrize("field", sorted(FIELDS))
@pytest.mark.parametrize("given", NO_TIME)
def test_no_time_at_all_is_no_value_of_a_contracts_field(field: str, given: timedelta) -> None:
    if not given and field in MAY_BE_NOTHING:
        assert FIELDS[field].validate_python(given) == given
        return
    with pytest.raises(ValidationError, match="greater than"):
        FIELDS[field].validate_python(given)


@pytest.mark.parametrize("option", sorted(OPTIONS))
@pytest.mark.parametrize("given", [*NO_TIME, 5])
def test_no_time_at_all_is_refused_as_an_option_with_the_least_one(option: str, given: Any) -> None:
    if not given and option in MAY_BE_NOTHING:
        OPTIONS[option](given)
        return
    name = option.rpartition(".")[2]
    with pytest.raises(ConfigurationError, match=f"{name}= is .*at least"):
        OPTIONS[option](given)


@pytest.mark.parametrize("given", NO_TIME)
def test_no_time_at_all_is_no_attribute_of_an_agent(given: timedelta) -> None:
    names = [
        name
        for name, kind in inspect.get_annotations(AgentWorkflow, eval_str=True).items()
        if get_origin(kind) is ClassVar and timedelta in get_args(kind)
    ]
    assert set(names) == {"approval_timeout", "escalation_timeout"}
    for name in names:
        agent = {"run": AgentWorkflow.run_agent, name: given}
        with pytest.raises(WorkflowDefinitionError, match=f"{name} must be more than nothing"):
            types.new_class(
                "Agent", (AgentWorkflow[str, str],), {}, lambda space, agent=agent: space.update(agent)
            )


@pytest.mark.parametrize("given", [*NO_TIME, timedelta(milliseconds=999)])
def test_a_signature_counts_for_a_second_at_least(given: timedelta) -> None:
    signer = Signer.generate("ann")
    with pytest.raises(ConfigurationError, match=r"valid_for= is .*at least 1 s"):
        signer._times(given, None, None)


def test_a_time_that_is_just_long_enough_is_taken() -> None:
    assert ToolOptions(start_to_close_timeout=LEAST_DURATION).start_to_close_timeout == LEAST_DURATION


def test_waits_that_get_shorter_are_refused() -> None:
    with pytest.raises(ValidationError, match="shorter than initial_interval"):
        RetryOptions(max_interval=timedelta(milliseconds=20))
