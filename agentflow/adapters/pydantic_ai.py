"""Models of many providers, through pydantic-ai's model layer.

One call is one request: the SDKs' retries are off, since Temporal retries. pydantic-ai's own
instrumentation is off too, since ``agentflow.telemetry`` has the spans.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec

from agentflow.errors import MissingExtraError, ModelError

if find_spec("pydantic_ai") is None:
    raise MissingExtraError("agentflow.adapters.pydantic_ai", "openai")

from pydantic_ai.direct import model_request
from pydantic_ai.messages import InstructionPart, ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from agentflow.adapters.pydantic_ai_errors import model_error
from agentflow.adapters.pydantic_ai_messages import (
    AnswerObject,
    to_assistant_message,
    to_model_messages,
)
from agentflow.adapters.pydantic_ai_models import ModelEndpoint, build_model, endpoint_of
from agentflow.adapters.pydantic_ai_reports import finish_reason, to_usage
from agentflow.contracts.messages import AssistantMessage
from agentflow.contracts.model import ModelAnswer, ModelCall, ToolOffer
from agentflow.core.constrained import ReplyForm, plain_messages
from agentflow.core.grammar import Schema, for_grammar
from agentflow.telemetry.propagation import trace_headers

__all__ = ["ModelEndpoint", "PydanticAIModelClient"]


class PydanticAIModelClient:
    """A ``ModelClient`` for every provider that pydantic-ai knows.

    Args:
        endpoints: Where models are served, by ``provider:model`` or by ``provider``, for those that
            aren't at their provider's usual address with the usual environment variables.
    """

    def __init__(self, endpoints: Mapping[str, ModelEndpoint] | None = None) -> None:
        self._endpoints = dict(endpoints or {})
        self._models: dict[str, Model] = {}

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Make one request.

        Raises:
            ModelUnavailableError: may work later (429, 5xx, time-out, lost connection).
            ModelRejectedError: will fail again (400, 401, 403, unknown model); says what to fix.
            MissingExtraError: the provider's SDK isn't installed.
        """
        try:
            model = await self._model(call.model.name)
        except ModelError as error:
            # Nothing was sent.
            error.unbilled = True
            raise
        exchange = (
            _constrained(call, model) if call.model.tool_calling == "constrained" else _native(call, model)
        )
        try:
            response = await model_request(
                model,
                exchange.messages,
                model_settings=_settings(call, model),
                model_request_parameters=exchange.parameters,
                instrument=False,
            )
        except Exception as error:
            # From None: Temporal records causes, and theirs quote prompts.
            raise model_error(error, call.model.name, model.context_window) from None
        message = exchange.read(response, call.idempotency_key)
        provider = call.model.name.partition(":")[0]
        also = endpoint_of(call.model.name, self._endpoints).finished
        return ModelAnswer(
            message=message,
            usage=to_usage(response),
            response_model=response.model_name or model.model_name,
            finish_reason=finish_reason(response, message, provider, also),
        )

    async def aclose(self) -> None:
        """Close the connections to the providers. The client may be used again afterwards."""
        for model in self._models.values():
            # The way pydantic-ai closes what it opened: the last one out shuts the door.
            async with model:
                pass

    async def _model(self, name: str) -> Model:
        if name not in self._models:
            endpoint = endpoint_of(name, self._endpoints)
            # In a thread, since importing an SDK holds up a worker for a second or more.
            built = await asyncio.to_thread(build_model, name, endpoint)
            self._models.setdefault(name, built)
        return self._models[name]


@dataclass(frozen=True)
class _Exchange:
    """What one request is made of, and how its answer is to be read."""

    messages: list[ModelMessage]
    parameters: ModelRequestParameters
    form: ReplyForm | None = None
    """Set where the reply is a constrained one."""
    answer: AnswerObject | None = None

    def read(self, response: ModelResponse, call_key: str) -> AssistantMessage:
        message = to_assistant_message(response, self.answer, call_key)
        return message if self.form is None else self.form.parse(message.text, call_key)


def _native(call: ModelCall, model: Model) -> _Exchange:
    # Providers refuse tool messages in a request that offers no tools.
    messages = to_model_messages(call.messages if call.tools else plain_messages(call.messages))
    parameters = ModelRequestParameters(
        function_tools=[_definition(tool) for tool in call.tools],
        instruction_parts=_instructions(call.instructions),
    )
    if call.output_schema is None:
        return _Exchange(messages, parameters)
    answer = AnswerObject.of(call.output_name, call.output_schema)
    if not call.tools and _holds_text(model):
        parameters = _held_to(parameters, answer.name, answer.schema)
    else:
        parameters = replace(
            parameters, output_mode="tool", output_tools=[_output_tool(answer)], allow_text_output=False
        )
    return _Exchange(messages, parameters, answer=answer)


def _constrained(call: ModelCall, model: Model) -> _Exchange:
    form = ReplyForm(call.tools, call.output_schema, call.output_name)
    told = "\n\n".join(text for text in (call.instructions, form.instructions()) if text)
    parameters = ModelRequestParameters(instruction_parts=_instructions(told))
    schema = form.schema()
    if schema is not None and _holds_text(model):
        parameters = _held_to(parameters, "reply", for_grammar(schema))
    return _Exchange(to_model_messages(plain_messages(call.messages)), parameters, form=form)


def _holds_text(model: Model) -> bool:
    return model.profile.get("supports_json_schema_output", False)


def _held_to(parameters: ModelRequestParameters, name: str, schema: Schema) -> ModelRequestParameters:
    output = OutputObjectDefinition(json_schema=schema, name=name)
    return replace(parameters, output_mode="native", output_object=output)


def _definition(tool: ToolOffer) -> ToolDefinition:
    return ToolDefinition(
        name=tool.name, description=tool.description, parameters_json_schema=tool.input_schema
    )


def _output_tool(answer: AnswerObject) -> ToolDefinition:
    return ToolDefinition(
        name=answer.name,
        description="Give the final answer. Call it when no other tool is needed.",
        parameters_json_schema=answer.schema,
        kind="output",
    )


def _instructions(text: str) -> list[InstructionPart]:
    return [InstructionPart(content=text)] if text else []


def _settings(call: ModelCall, model: Model) -> ModelSettings:
    seconds = call.timeout.total_seconds()
    settings = ModelSettings(max_tokens=call.max_output_tokens, request_timeout=seconds)
    if call.temperature is not None:
        settings["temperature"] = call.temperature
    if "timeout" not in model.unsupported_settings:
        # The SDK's own default would end a longer call early.
        settings["timeout"] = seconds
    if "max_retries" not in model.unsupported_settings:
        settings["max_retries"] = 0
    if "extra_headers" not in model.unsupported_settings and (headers := trace_headers()):
        settings["extra_headers"] = headers
    if call.model.name.startswith("ollama:"):
        # pydantic-ai sends max_completion_tokens, which Ollama ignores (its issue 7125).
        settings["extra_body"] = {"max_tokens": call.max_output_tokens}
    return settings
