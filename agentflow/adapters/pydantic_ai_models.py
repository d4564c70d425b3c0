"""Models by name: where they are served, and with the retries of every provider's SDK switched off.

``openai:`` at an address of its own is any server that imitates OpenAI's chat completions: llama.cpp,
vLLM, LM Studio, a gateway. Without an address it is OpenAI; OpenAI behind a proxy is
``openai-responses:`` at the proxy's address.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import Provider, infer_provider_class

from agentflow.adapters.pydantic_ai_errors import model_error
from agentflow.errors import AgentflowError, ConfigurationError, MissingExtraError, ModelRejectedError

_CHAT_COMPLETIONS = ("openai", "openai-chat")
_RESPONSES = ("openai", "openai-responses")
_EXTRAS = {"anthropic": "anthropic", "google": "google", "google-cloud": "google", "bedrock": "aws"}
_OTHER_SDKS = ("groq", "mistral", "cohere", "xai", "huggingface", "typesafe")

# Each call has a deadline of its own; this only ends threads whose call was given up.
_BOTO_READ_SECONDS = 600
_BOTO_CONNECT_SECONDS = 5

# What servers that imitate OpenAI's API have in common.
_COMPATIBLE = OpenAIModelProfile(
    openai_chat_supports_max_completion_tokens=False,
    openai_supports_strict_tool_definition=False,
    supports_json_schema_output=True,
)


@dataclass(frozen=True)
class ModelEndpoint:
    """Where a model is served. What is left out comes from the provider's environment variables."""

    base_url: str | None = None
    """Such as ``http://localhost:11434/v1``."""
    api_key: str | None = field(default=None, repr=False)
    """Never part of a run's history: only the worker knows it."""
    finished: tuple[str, ...] = ()
    """More words with which this server ends a finished answer than its provider has (``core.finish``), such
    as ``eos``. ``missing`` takes an answer that ends with no word for a finished one."""


def endpoint_of(name: str, endpoints: Mapping[str, ModelEndpoint]) -> ModelEndpoint:
    """The endpoint for ``provider:model``: the model's own, else its provider's, else the usual one."""
    return endpoints.get(name) or endpoints.get(name.partition(":")[0]) or ModelEndpoint()


def build_model(name: str, endpoint: ModelEndpoint) -> Model:
    """A model ready to be called. Slow at first, since it imports the provider's SDK.

    Raises:
        ModelRejectedError: no such provider, or no credentials; the text says what to set.
        MissingExtraError: the provider's SDK isn't installed.
        ConfigurationError: the endpoint has what the provider can't use.
    """
    provider, _, model_name = name.partition(":")
    if not provider or not model_name:
        raise ModelRejectedError(f"{name!r} names no model: {_FORM}")
    try:
        model = _model(provider, model_name, endpoint)
    except AgentflowError:
        raise
    except ImportError as error:
        raise _missing_sdk(provider) from error
    except UserError as error:
        # pydantic-ai names the environment variable in its first sentence; no value is in it.
        reason = error.message.partition(". ")[0].rstrip(".")
        raise ModelRejectedError(f"{name} can't be used: {reason}. Or give it a ModelEndpoint") from None
    except Exception as error:
        raise model_error(error, name) from None
    if provider != "bedrock" and "max_retries" in model.unsupported_settings:
        raise ModelRejectedError(f"{name} can't be used: the retries of its SDK can't be switched off")
    return model


_FORM = "write provider:model, such as anthropic:claude-sonnet-4-6, openai:gpt-5 or ollama:qwen3"


def _model(provider: str, model_name: str, endpoint: ModelEndpoint) -> Model:
    if provider in _CHAT_COMPLETIONS and endpoint.base_url:
        return _compatible_model(model_name, endpoint.base_url, endpoint.api_key)
    if provider in _RESPONSES:
        return _responses_model(provider, model_name, endpoint)
    return infer_model(f"{provider}:{model_name}", lambda name: _provider(name, endpoint))


def _responses_model(provider: str, model_name: str, endpoint: ModelEndpoint) -> Model:
    from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings

    # OpenAI keeps what goes through this API for a month unless it is told not to.
    settings = OpenAIResponsesModelSettings(openai_store=False)
    return OpenAIResponsesModel(model_name, provider=_provider(provider, endpoint), settings=settings)


def _compatible_model(model_name: str, base_url: str, api_key: str | None) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    class Compatible(OpenAIChatModel):
        """Keeps the total of a usage report, which pydantic-ai drops: a server may contradict itself."""

        def _map_usage(self, response: Any) -> Any:
            usage = super()._map_usage(response)
            total = getattr(response.usage, "total_tokens", None)
            if total is not None:
                usage.details["total_tokens"] = total
            return usage

    # Not OpenAIProvider: it would send OPENAI_API_KEY to whoever serves that address.
    provider = OpenAICompatibleProvider(
        "openai-compatible", base_url=base_url, api_key=api_key, profile=_COMPATIBLE
    )
    return Compatible(model_name, provider=provider)


def _provider(provider: str, endpoint: ModelEndpoint) -> Provider[Any]:
    if provider == "bedrock":
        return _bedrock_provider(endpoint)
    try:
        provider_class = infer_provider_class(provider)
    except ValueError:
        raise ModelRejectedError(f"there is no provider {provider!r}: {_FORM}") from None
    options = {"base_url": endpoint.base_url, "api_key": endpoint.api_key}
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return provider_class(**given)
    except TypeError:
        raise ConfigurationError(
            f"{provider} takes no {' and no '.join(given)}: use its environment variables"
        ) from None


def _bedrock_provider(endpoint: ModelEndpoint) -> Provider[Any]:
    if endpoint.api_key:
        raise ConfigurationError("bedrock takes no api_key: set AWS_BEARER_TOKEN_BEDROCK, or AWS credentials")
    # boto3 has no types. Its retries are fixed when a client is made, and
    # pydantic-ai leaves them on.
    boto3: Any = importlib.import_module("boto3")
    config: Any = importlib.import_module("botocore.config")
    from pydantic_ai.providers.bedrock import BedrockProvider

    session = boto3.Session()
    if not session.region_name:
        raise ModelRejectedError("bedrock has no region: set AWS_DEFAULT_REGION")
    client = session.client(
        "bedrock-runtime",
        endpoint_url=endpoint.base_url,
        config=config.Config(
            retries={"total_max_attempts": 1},
            read_timeout=_BOTO_READ_SECONDS,
            connect_timeout=_BOTO_CONNECT_SECONDS,
        ),
    )
    return BedrockProvider(bedrock_client=client)


def _missing_sdk(provider: str) -> ConfigurationError:
    if provider in _OTHER_SDKS:
        return ConfigurationError(
            f"{provider} needs an SDK that no extra of agentflow brings:"
            f' pip install "pydantic-ai-slim[{provider}]"'
        )
    return MissingExtraError(f"The SDK for {provider} models", _EXTRAS.get(provider, "openai"))
