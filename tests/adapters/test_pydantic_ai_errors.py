import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic_ai.exceptions import ContentFilterError

from agentflow.adapters.pydantic_ai import ModelEndpoint, PydanticAIModelClient
from agentflow.adapters.pydantic_ai_errors import model_error
from agentflow.contracts.messages import UserMessage
from agentflow.contracts.model import ModelCall, ModelPrice, ModelSpec
from agentflow.errors import (
    ConfigurationError,
    MissingExtraError,
    ModelError,
    ModelRejectedError,
    ModelUnavailableError,
)
from tests.adapters.provider_server import ProviderServer, Reply

PRICE = ModelPrice(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2))
KEY = "sk-secret-0123456789"
PROMPT = "my diagnosis is nobody's business"
OPENAI = "openai:smollm2"
ANTHROPIC = "anthropic:claude-sonnet-4-6"
GOOGLE = "google:gemini-2.5-flash"
BEDROCK = "bedrock:us.amazon.nova-lite-v1:0"


def call(name: str = OPENAI, timeout: timedelta = timedelta(seconds=20)) -> ModelCall:
    return ModelCall(
        model=ModelSpec(name=name, price=PRICE),
        instructions="",
        messages=(UserMessage(text=PROMPT),),
        max_output_tokens=100,
        timeout=timeout,
        idempotency_key="run-1/turn-1",
    )


def refusal(message: str = "no", code: str | None = None, **more: Any) -> dict[str, Any]:
    """An error's body that all of the providers' SDKs can read, each in its own place."""
    return {
        "type": "error",
        "message": message,
        "error": {"message": message, "code": code, "type": code} | more,
    }


def endpoints(url: str) -> dict[str, ModelEndpoint]:
    return {
        "openai": ModelEndpoint(base_url=f"{url}/v1", api_key=KEY),
        "anthropic": ModelEndpoint(base_url=url, api_key=KEY),
        "google": ModelEndpoint(base_url=url, api_key=KEY),
        "bedrock": ModelEndpoint(base_url=url),
    }


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with ProviderServer() as running:
        yield running


@pytest.fixture
async def client(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PydanticAIModelClient]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made = PydanticAIModelClient(endpoints(server.url))
    yield made
    await made.aclose()


class TestWhatMayWorkLater:
    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC, GOOGLE, BEDROCK])
    async def test_a_busy_provider_is_asked_once(self, server, client, name):
        server.replies_with(refusal(), status=503)
        with pytest.raises(ModelUnavailableError, match=f"{name} answered 503"):
            await client.chat(call(name))
        assert len(server.requests) == 1

    @pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
    async def test_the_status_says_whether_to_try_again(self, server, client, status):
        server.replies_with(refusal(), status=status)
        with pytest.raises(ModelUnavailableError, match=str(status)):
            await client.chat(call())

    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC])
    async def test_the_wait_may_be_given_in_seconds(self, server, client, name):
        server.replies_with(refusal(), status=429, retry_after="7")
        with pytest.raises(ModelUnavailableError) as caught:
            await client.chat(call(name))
        assert caught.value.retry_after == timedelta(seconds=7)

    async def test_the_wait_may_be_given_in_milliseconds(self, server, client):
        server.replies_with(refusal(), status=429, retry_after_ms="1500", retry_after="7")
        with pytest.raises(ModelUnavailableError) as caught:
            await client.chat(call())
        assert caught.value.retry_after == timedelta(seconds=1.5)

    async def test_the_wait_may_be_given_as_a_date(self, server, client):
        date = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
        server.replies_with(refusal(), status=429, retry_after=date)
        with pytest.raises(ModelUnavailableError) as caught:
            await client.chat(call())
        assert caught.value.retry_after is not None
        assert timedelta(minutes=1) < caught.value.retry_after <= timedelta(minutes=2)

    @pytest.mark.parametrize("nonsense", ["soon", "-3", "inf", ""])
    async def test_a_wait_that_makes_no_sense_is_none(self, server, client, nonsense):
        server.replies_with(refusal(), status=429, retry_after=nonsense)
        with pytest.raises(ModelUnavailableError) as caught:
            await client.chat(call())
        assert caught.value.retry_after is None

    async def test_a_wait_beyond_all_reason_is_a_day(self, server, client):
        server.replies_with(refusal(), status=429, retry_after="9" * 20)
        with pytest.raises(ModelUnavailableError) as caught:
            await client.chat(call())
        assert caught.value.retry_after == timedelta(days=1)

    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC, GOOGLE, BEDROCK])
    async def test_a_provider_that_does_not_answer_in_time_is_given_up(self, server, client, name):
        server.replies = [Reply(hangs=True)]
        with pytest.raises(ModelUnavailableError, match="no answer in the time allowed"):
            await client.chat(call(name, timeout=timedelta(seconds=0.3)))

    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC, GOOGLE, BEDROCK])
    async def test_a_refused_connection_may_work_later(self, client, name):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{closed.getsockname()[1]}"
            with pytest.raises(ModelUnavailableError, match="could not be reached"):
                await PydanticAIModelClient(endpoints(address)).chat(call(name))

    async def test_an_answer_that_is_no_answer_may_be_one_later(self, server, client):
        server.replies_with({"surprise": True})
        with pytest.raises(ModelUnavailableError, match="can't be read"):
            await client.chat(call())


class TestWhatWillFailAgain:
    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize(
        ("name", "variable"),
        [
            (OPENAI, "OPENAI_API_KEY"),
            (ANTHROPIC, "ANTHROPIC_API_KEY"),
            (GOOGLE, "GOOGLE_API_KEY"),
            (BEDROCK, "AWS_ACCESS_KEY_ID"),
        ],
    )
    async def test_refused_credentials_name_the_variable_to_set(self, server, client, name, variable, status):
        server.replies_with(refusal(), status=status)
        with pytest.raises(ModelRejectedError, match=f"{status}.*credentials.*{variable}"):
            await client.chat(call(name))

    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC, GOOGLE])
    async def test_an_unknown_model_is_named(self, server, client, name):
        server.replies_with(refusal(code="model_not_found"), status=404)
        with pytest.raises(ModelRejectedError, match=f"{name} answered 404.*no model by this name"):
            await client.chat(call(name))

    @pytest.mark.parametrize("status", [400, 422])
    async def test_a_refused_request_gives_code_parameter_and_request_id(self, server, client, status):
        body = refusal("temperature is not for me", "unsupported_value", param="temperature")
        server.replies_with(body, status=status, x_request_id="req_123")
        expected = rf"{status} \(unsupported_value, parameter temperature, request req_123\)"
        with pytest.raises(ModelRejectedError, match=expected):
            await client.chat(call())

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (OPENAI, "This model's maximum context length is 8192 tokens. However, you asked for 9000."),
            (
                OPENAI,
                "request (5031 tokens) exceeds the available context size (8192 tokens), try increasing it",
            ),
            (ANTHROPIC, "prompt is too long: 208310 tokens > 8192 maximum"),
            (GOOGLE, "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."),
        ],
    )
    async def test_a_conversation_that_is_too_long_gives_the_limit(self, server, client, name, words):
        server.replies_with(refusal(words, "invalid_request_error"), status=400)
        with pytest.raises(ModelRejectedError, match="too long; the model takes 8192 tokens"):
            await client.chat(call(name))

    async def test_a_request_that_is_too_large_gives_the_models_known_limit(self, server, client):
        server.replies_with(refusal(), status=413)
        with pytest.raises(ModelRejectedError, match=r"413.*too long; the model takes \d+ tokens"):
            await client.chat(call(ANTHROPIC))

    async def test_used_up_quota_is_no_rate_limit(self, server, client):
        server.replies_with(refusal(code="insufficient_quota"), status=429, retry_after="1")
        with pytest.raises(ModelRejectedError, match="quota or credit is used up"):
            await client.chat(call())

    @pytest.mark.parametrize("name", ["smollm2", "openai:", ":gpt-5", ""])
    async def test_a_name_without_provider_or_model_is_refused(self, name):
        with pytest.raises(ModelRejectedError, match="provider:model"):
            await PydanticAIModelClient().chat(call(name))

    async def test_an_unknown_provider_is_refused(self):
        with pytest.raises(ModelRejectedError, match=r"no provider 'nobody'.*provider:model"):
            await PydanticAIModelClient().chat(call("nobody:model"))

    @pytest.mark.parametrize(
        ("name", "variable"),
        [
            ("openai:gpt-5", "OPENAI_API_KEY"),
            ("anthropic:claude-sonnet-4-6", "ANTHROPIC_API_KEY"),
            ("google:gemini-2.5-flash", "GOOGLE_API_KEY"),
            ("ollama:qwen3", "OLLAMA_BASE_URL"),
            ("bedrock:us.amazon.nova-lite-v1:0", "AWS_DEFAULT_REGION"),
        ],
    )
    async def test_missing_settings_are_named(self, monkeypatch, name, variable):
        for setting in (variable, "GEMINI_API_KEY", "OPENAI_BASE_URL", "AWS_PROFILE"):
            monkeypatch.delenv(setting, raising=False)
        with pytest.raises(ModelRejectedError, match=variable):
            await PydanticAIModelClient().chat(call(name))

    async def test_missing_aws_credentials_are_named(self, server, monkeypatch):
        for setting in (
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_PROFILE",
        ):
            monkeypatch.delenv(setting, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with pytest.raises(ModelRejectedError, match=r"no credentials.*AWS_ACCESS_KEY_ID"):
            await PydanticAIModelClient(endpoints(server.url)).chat(call(BEDROCK))
        assert server.requests == []


class TestWhatWasCertainlyNotBilled:
    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC, GOOGLE, BEDROCK])
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429])
    async def test_a_request_that_is_refused_before_anything_is_generated(self, server, client, name, status):
        server.replies_with(refusal(), status=status)
        with pytest.raises(ModelError) as refused:
            await client.chat(call(name))
        assert refused.value.unbilled

    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC, GOOGLE, BEDROCK])
    @pytest.mark.parametrize("status", [402, 408, 409, 418, 425, 500, 502, 503, 504, 529])
    async def test_and_no_other(self, server, client, name, status):
        server.replies_with(refusal(), status=status)
        with pytest.raises(ModelError) as failed:
            await client.chat(call(name))
        assert not failed.value.unbilled

    @pytest.mark.parametrize(
        "code",
        [
            "tool_use_failed",
            "json_validate_failed",
            "output_parse_failed",
            "data_inspection_failed",
            "content_policy_violation",
            "content_filter",
            "invalid_prompt",
        ],
    )
    async def test_a_400_for_what_was_generated_may_be_billed(self, server, client, code):
        server.replies_with(refusal(code=code), status=400)
        with pytest.raises(ModelError) as failed:
            await client.chat(call())
        assert not failed.value.unbilled

    def test_an_answer_that_the_content_filter_stopped_may_be_billed(self):
        assert not model_error(ContentFilterError("stopped"), OPENAI).unbilled

    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC])
    async def test_what_never_left(self, client, name):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{closed.getsockname()[1]}"
            with pytest.raises(ModelError) as refused:
                await PydanticAIModelClient(endpoints(address)).chat(call(name))
        assert refused.value.unbilled

    async def test_a_call_that_was_given_up_may_be_billed(self, server, client):
        server.replies = [Reply(hangs=True)]
        with pytest.raises(ModelError) as late:
            await client.chat(call(timeout=timedelta(seconds=0.3)))
        assert not late.value.unbilled

    async def test_a_model_that_can_not_be_made(self):
        with pytest.raises(ModelError) as refused:
            await PydanticAIModelClient().chat(call("nobody:model"))
        assert refused.value.unbilled


class TestWhatIsNotInstalled:
    async def test_a_missing_sdk_names_the_extra(self, monkeypatch):
        for module in [
            name for name in sys.modules if name.startswith("pydantic_ai.") and "anthropic" in name
        ]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "anthropic", None)
        with pytest.raises(MissingExtraError, match=r"agentflow-temporal\[anthropic\]"):
            await PydanticAIModelClient().chat(call(ANTHROPIC))

    async def test_an_sdk_without_an_extra_says_what_to_install(self):
        with pytest.raises(ConfigurationError, match=r"pydantic-ai-slim\[mistral\]"):
            await PydanticAIModelClient().chat(call("mistral:mistral-large-latest"))


class TestWhatMustNotBeTold:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500])
    @pytest.mark.parametrize("name", [OPENAI, ANTHROPIC, GOOGLE, BEDROCK])
    async def test_neither_key_nor_prompt_is_in_an_error(self, server, client, name, status):
        told = f"Incorrect key {KEY} for {PROMPT!r}"
        server.replies_with(refusal(told, told, param=told), status=status, x_request_id=told)
        with pytest.raises(ModelError) as caught:
            await client.chat(call(name))
        text = f"{caught.value!r} {caught.value.__cause__!r}"
        assert KEY not in text
        assert "diagnosis" not in text

    async def test_no_cause_is_left_for_temporal_to_record(self, server, client):
        server.replies_with(refusal(), status=400)
        with pytest.raises(ModelError) as caught:
            await client.chat(call())
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    def test_an_endpoint_shows_no_key(self):
        assert KEY not in repr(ModelEndpoint(base_url="http://localhost", api_key=KEY))
