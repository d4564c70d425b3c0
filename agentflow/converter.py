"""The data converter: pydantic's, with errors that end a run instead of spinning it.

Temporal retries a workflow task that can't decode its input, for ever. A malformed task must fail the
run at once and say which field is wrong.
"""

from collections.abc import Mapping
from typing import Any, Self, cast

from pydantic import TypeAdapter, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadConverter,
    SerializationContext,
    StorageDriverStoreContext,
)
from temporalio.exceptions import ApplicationError

from agentflow.contracts.task import AgentTask
from agentflow.core.answer import describe_errors

_ANY_TASK: TypeAdapter[AgentTask[Any]] = TypeAdapter(AgentTask[Any])


class _StrictJSONConverter(PydanticJSONPlainPayloadConverter):
    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        try:
            value = super().from_payload(payload, type_hint)
        except Exception as error:
            name = getattr(type_hint, "__name__", str(type_hint))
            # Of an error that a type's own code raised, no more than its kind: its text may quote the input.
            told = describe_errors(error) if isinstance(error, ValidationError) else type(error).__name__
            problem = f"malformed {name}: {told}"
            if (task := _task_as_sent(payload, type_hint, problem)) is not None:
                return task
            if not isinstance(error, ValidationError):
                raise
            raise ApplicationError(problem, type="MalformedInput", non_retryable=True) from None
        _keep(value, payload.data)
        return value


def _task_as_sent(payload: Payload, hint: type | None, problem: str) -> AgentTask[Any] | None:
    """A task whose input does not fit its type, if nothing else about it is wrong: its run says what follows.

    A deploy may change the type while runs are at work.
    """
    if not (isinstance(hint, type) and issubclass(hint, AgentTask)):
        return None
    try:
        task = _ANY_TASK.validate_json(payload.data)
    except ValidationError:
        return None
    task.does_not_fit(problem)
    task.sent_as(payload.data)
    return task


def _keep(value: object, text: bytes) -> None:
    """Let a task know its JSON: who asked for it signed that."""
    if isinstance(value, AgentTask):
        cast(AgentTask[Any], value).sent_as(text)


class LastingFailureConverter(DefaultFailureConverter):
    """Temporal's failure converter; a failure that can't be read is a failure all the same.

    Whoever reaches Temporal can fail an activity with details of any encoding. What raised here would fail
    the workflow task, which is retried for ever.
    """

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """The failure as an exception."""
        try:
            return super().from_failure(failure, payload_converter)
        except Exception as error:
            said = f"a failure that can't be read ({type(error).__name__}): {failure.message[:1_000]}"
            return ApplicationError(said, type="UnreadableFailure", non_retryable=True)


_BY_ENCODING: Mapping[bytes, EncodingPayloadConverter] = {
    converter.encoding.encode(): _StrictJSONConverter()
    if isinstance(converter, JSONPlainPayloadConverter)
    else converter
    for converter in DefaultPayloadConverter.default_encoding_payload_converters
}


class AgentflowPayloadConverter(CompositePayloadConverter):
    """Pydantic's payload converter; what doesn't fit its type is a non-retryable failure."""

    def __init__(self) -> None:
        # Temporal's worker makes one for each activation, twice; the parts have no state.
        self.converters: Mapping[bytes, EncodingPayloadConverter] = _BY_ENCODING

    def with_context(self, context: SerializationContext) -> Self:
        """Itself, for each activation and activity: none of its parts looks at the context."""
        return self


_MAX_CONTEXTS = 256


class _AgentflowDataConverter(DataConverter):
    """Remembers the converters that it makes for the runs whose payloads are stored outside of history.

    Temporal's worker asks for one at each activation and each activity, and each is a copy that makes its
    parts anew. The method is not public: should it go by another name one day, all that is lost is speed.
    """

    _of_contexts: dict[StorageDriverStoreContext, DataConverter]

    def __post_init__(self) -> None:
        super().__post_init__()
        # The base is a frozen dataclass.
        object.__setattr__(self, "_of_contexts", {})

    def _with_store_context(self, store_ctx: StorageDriverStoreContext) -> DataConverter:
        if self.external_storage is None:
            return super()._with_store_context(store_ctx)
        known = self._of_contexts
        if (found := known.get(store_ctx)) is not None:
            return found
        if len(known) >= _MAX_CONTEXTS:
            known.clear()
        made = known[store_ctx] = super()._with_store_context(store_ctx)
        return made


agentflow_data_converter: DataConverter = _AgentflowDataConverter(
    payload_converter_class=AgentflowPayloadConverter, failure_converter_class=LastingFailureConverter
)
"""What clients, workers and replayers use; ``AgentflowPlugin`` sets it."""
