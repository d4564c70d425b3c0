"""Temporal's sandbox as agents run in it: what is passed through, and no detours where none are needed."""

import dataclasses
import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import (
    DataConverter,
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info

from agentflow.errors import ConfigurationError
from agentflow.workflow.definition import definition_of
from agentflow.workflow.sealed_calls import ELSEWHERE

PASSED_THROUGH = (
    # Our own code: re-importing it would cost 85 ms for each run, and the classes would differ from the
    # worker's. The import contracts and the replay tests guard it in the sandbox's stead.
    "agentflow",
    # Compiled extensions, which can't be imported twice, and the packages around them.
    "pydantic",
    "pydantic_core",
    "rpds",
    "joserfc",
    "cryptography",
    "_cffi_backend",
    "ada_url",
    "_openssl",
    # Slow to import and free of side effects: pydantic's and jsonschema's own parts.
    "annotated_types",
    "typing_inspection",
    "jsonschema",
    "jsonschema_specifications",
    "referencing",
    "attr",
    "attrs",
    # What those import if it is there: structlog's context and console, jsonschema's formats, and theirs.
    "greenlet",
    "rich",
    "pygments",
    "idna",
    "fqdn",
    "isoduration",
    "arrow",
    "dateutil",
    "six",
    "jsonpointer",
    "rfc3339_validator",
    "rfc3986_validator",
    "rfc3987",
    "rfc3987_syntax",
    "uri_template",
    "webcolors",
    # Keep their configuration in module state, which a second copy would not have.
    "structlog",
    "opentelemetry",
)


def passing_through(runner: WorkflowRunner | None) -> WorkflowRunner:
    """The worker's runner, with agentflow passed through if it is the sandbox.

    Raises:
        ConfigurationError: there is none.
    """
    if runner is None:
        raise ConfigurationError("no workflow runner to configure")
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    restrictions = runner.restrictions.with_passthrough_modules(*PASSED_THROUGH)
    return dataclasses.replace(runner, restrictions=restrictions)


def for_agents(runner: WorkflowRunner, converter: DataConverter) -> WorkflowRunner:
    """The worker's runner as runs need it.

    An activity that is asked for ``ELSEWHERE`` is not executed at once by the worker that has the run. The
    clock of an agent's run stands still while a local activity of it ends: see ``_Instance``.

    There are no detours for payloads where the converter doesn't look at their context. For each payload,
    several times, Temporal's worker enters the sandbox to ask which workflow or activity it is for: a quarter
    of a worker's Python time. Only a codec or converter that takes a ``SerializationContext`` makes use of
    the answer.
    """
    if type(runner) is not SandboxedWorkflowRunner:
        return _OtherRunner(runner)
    anywhere = WorkflowSerializationContext(namespace="default", workflow_id="any")
    kind = _LeanRunner if converter.with_context(anywhere) is converter else _Runner
    return kind(runner.restrictions, runner.runner_class)


@dataclasses.dataclass(frozen=True)
class _Runner(SandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(super().create_instance(det), is_agent=_is_agent(det))


@dataclasses.dataclass(frozen=True)
class _LeanRunner(SandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _LeanInstance(super().create_instance(det), is_agent=_is_agent(det))


class _OtherRunner(WorkflowRunner):
    """A runner that is not the sandbox, such as one without it."""

    def __init__(self, inside: WorkflowRunner) -> None:
        self._inside = inside

    def prepare_workflow(self, defn: Any) -> None:
        self._inside.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(self._inside.create_instance(det), is_agent=_is_agent(det))

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        self._inside.set_worker_level_failure_exception_types(types)


def _is_agent(det: WorkflowInstanceDetails) -> bool:
    return definition_of(det.defn.cls) is not None


class _Instance(WorkflowInstance):
    """An instance some of whose activities are for any worker, and whose clock goes by history alone.

    A local activity that ends while its workflow task is being completed is heard of in the next task, and in
    a replay in the task that it was called in. Temporal gives each its own time. What people sign has the
    time at which they were asked, and a replay must come to the same: the end of a local activity therefore
    moves no agent's clock.
    """

    def __init__(self, inside: WorkflowInstance, *, is_agent: bool = False) -> None:
        self._inside = inside
        self._is_agent = is_agent
        self._time = Timestamp()

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if self._is_agent:
            if act.jobs and all(job.resolve_activity.is_local for job in act.jobs):
                act.timestamp.CopyFrom(self._time)
            else:
                self._time.CopyFrom(act.timestamp)
        completion = self._inside.activate(act)
        for command in completion.successful.commands:
            if command.schedule_activity.activity_id.startswith(ELSEWHERE):
                command.schedule_activity.do_not_eagerly_execute = True
        return completion

    def get_info(self) -> Info:
        return self._inside.get_info()

    def get_thread_id(self) -> int | None:
        return self._inside.get_thread_id()

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        return self._inside.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        return self._inside.get_external_store_context(command_info)


class _LeanInstance(_Instance):
    """One whose payloads have no context, and are stored under its own name."""

    def __init__(self, inside: WorkflowInstance, *, is_agent: bool = False) -> None:
        _enter_by_compiled_code(inside)
        super().__init__(inside, is_agent=is_agent)
        info = inside.get_info()
        self._store_context = StorageDriverStoreContext(
            target=StorageDriverWorkflowInfo(
                namespace=info.namespace, id=info.workflow_id, run_id=info.run_id, type=info.workflow_type
            )
        )

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        return None

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        return self._store_context


def _enter_by_compiled_code(inside: WorkflowInstance) -> None:
    """Let the sandbox run its few lines of source compiled: it would compile them for each workflow task.

    The method is not public: from an SDK without it, the instance stays as it is.
    """
    run_code: Callable[..., None] | None = getattr(type(inside), "_run_code", None)
    if run_code is not None:
        itself = weakref.proxy(inside)  # no cycle: an evicted instance goes at once

        def run_compiled(code: str, **names: Any) -> None:
            run_code(itself, _compiled(code), **names)

        setattr(inside, "_run_code", run_compiled)  # noqa: B010 - no attribute of its type


@lru_cache(maxsize=64)
def _compiled(source: str) -> CodeType:
    return compile(source, "<sandbox>", "exec")
