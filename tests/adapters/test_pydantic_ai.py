import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import genai_prices.update_prices
import pytest

from agentflow.adapters.pydantic_ai import ModelEndpoint, PydanticAIModelClient
from agentflow.contracts.budget import Usage
from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agentflow.contracts.model import ModelCall, ModelPrice, ModelSpec, ToolOffer
from agentflow.contracts.wire import Sha256, ToolCallId
from tests.adapters.provider_server import ProviderServer, anthropic_answer, openai_answer, openai_call

PRICE = ModelPrice(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2))
ORDER = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
GET_ORDER = ToolOffer(name="get_order", description="Look an order up.", input_schema=ORDER)
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"refunded": {"type": "boolean"}},
    "required": ["refunded"],
}


def call(
    name: str = "openai:smollm2",
    messages: tuple[Message, ...] = (UserMessage(text="Where is A-1?"),),
    tool_calling: Any = "native",
    **fields: Any,
) -> ModelCall:
    given = {
        "instructions": "You help customers.",
        "max_output_tokens": 100,
        "temperature": 0.0,
        "timeout": timedelta(seconds=20),
        "idempotency_key": "run-1/turn-1",
    }
    model = ModelSpec(name=name, price=PRICE, tool_calling=tool_calling)
    return ModelCall(model=model, messages=messages, **(given | fields))


def tool_message(call_id: str, content: str, *, is_error: bool = False) -> ToolMessage:
    return ToolMessage(
        tool_call_id=ToolCallId(call_id),
        tool="get_order",
        content_hash=Sha256("0" * 64),
        content=content,
        is_error=is_error,
    )


def asked_for_order(call_id: str = "call_1", text: str = "") -> AssistantMessage:
    asked = ToolCall(id=ToolCallId(call_id), tool="get_order", arguments={"order_id": "A-1"})
    return AssistantMessage(text=text, tool_calls=(asked,))


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with ProviderServer() as running:
        yield running


@pytest.fixture
async def client(server: ProviderServer) -> AsyncIterator[PydanticAIModelClient]:
    made = PydanticAIModelClient(
        {
            "openai": ModelEndpoint(base_url=f"{server.url}/v1", api_key="sk-secret"),
            "ollama": ModelEndpoint(base_url=f"{server.url}/v1"),
            "anthropic": ModelEndpoint(base_url=server.url, api_key="sk-secret"),
        }
    )
    yield made
    await made.aclose()


class TestOpenAICompatibleServers:
    async def test_a_tool_call_comes_back_with_its_id_and_arguments(self, server, client):
        server.replies_with(openai_answer(tool_calls=[openai_call("get_order", '{"order_id": "A-1"}')]))
        answer = await client.chat(call(tools=(GET_ORDER,)))
        assert answer.message.tool_calls == (
            ToolCall(id=ToolCallId("call_abc"), tool="get_order", arguments={"order_id": "A-1"}),
        )

    async def test_a_tool_is_offered_with_its_own_schema(self, server, client):
        server.replies_with(openai_answer("hi"))
        await client.chat(call(tools=(GET_ORDER,)))
        (offered,) = server.asked["tools"]
        assert offered["function"]["name"] == "get_order"
        assert offered["function"]["description"] == "Look an order up."
        assert offered["function"]["parameters"]["properties"] == ORDER["properties"]

    async def test_the_request_carries_instructions_limits_and_temperature(self, server, client):
        server.replies_with(openai_answer("hi"))
        await client.chat(call(temperature=0.3))
        assert server.requests[-1].path == "/v1/chat/completions"
        assert server.asked["messages"][0] == {"role": "system", "content": "You help customers."}
        assert (server.asked["max_tokens"], server.asked["temperature"]) == (100, 0.3)

    async def test_no_temperature_is_sent_where_none_is_wanted(self, server, client):
        server.replies_with(openai_answer("hi"))
        await client.chat(call(temperature=None))
        assert "temperature" not in server.asked

    async def test_a_conversation_with_tools_keeps_its_order_and_ids(self, server, client):
        server.replies_with(openai_answer("It is on its way."))
        told = (
            UserMessage(text="Where is A-1?"),
            asked_for_order(text="Let me see."),
            tool_message("call_1", '{"status":"sent"}'),
            UserMessage(text="Well?"),
        )
        await client.chat(call(messages=told, tools=(GET_ORDER,)))
        system, question, asked, result, nudge = server.asked["messages"]
        assert [m["role"] for m in (system, question, asked, result, nudge)] == [
            "system",
            "user",
            "assistant",
            "tool",
            "user",
        ]
        assert asked["content"] == "Let me see."
        assert asked["tool_calls"][0]["id"] == result["tool_call_id"] == "call_1"
        assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {"order_id": "A-1"}
        assert result["content"] == '{"status":"sent"}'

    async def test_a_call_that_was_never_carried_out_is_answered_as_such(self, server, client):
        server.replies_with(openai_answer("ok"))
        told = (UserMessage(text="Where?"), asked_for_order(), UserMessage(text="be shorter"))
        await client.chat(call(messages=told, tools=(GET_ORDER,)))
        *_, result, correction = server.asked["messages"]
        assert "not carried out" in result["content"]
        assert correction == {"role": "user", "content": "be shorter"}

    async def test_past_tool_calls_are_told_as_text_where_no_tools_are_on_offer(self, server, client):
        server.replies_with(openai_answer("ok"))
        told = (UserMessage(text="Where?"), asked_for_order(), tool_message("call_1", "sent"))
        await client.chat(call(messages=told))
        *_, asked, result = server.asked["messages"]
        assert asked["role"] == "assistant"
        assert "get_order" in asked["content"]
        assert result == {"role": "user", "content": "get_order returned: sent"}

    async def test_a_missing_call_id_is_replaced_by_the_same_one_on_every_attempt(self, server, client):
        lost = [openai_call("get_order", '{"order_id": "A-1"}', ""), openai_call("get_order", "{}", "")]
        server.replies_with(openai_answer(tool_calls=lost))
        first, second = [(await client.chat(call(tools=(GET_ORDER,)))).message.tool_calls for _ in range(2)]
        assert first == second
        assert len({asked.id for asked in first}) == 2

    async def test_a_call_id_used_twice_names_only_the_first_call(self, server, client):
        twice = [
            openai_call("get_order", '{"order_id": "A-1"}'),
            openai_call("get_order", '{"order_id": "A-2"}'),
        ]
        server.replies_with(openai_answer(tool_calls=twice))
        first, second = (await client.chat(call(tools=(GET_ORDER,)))).message.tool_calls
        assert first.id == "call_abc" != second.id

    @pytest.mark.parametrize("raw", ['{"order_id": "A-', "[1]", '{"x": NaN}', '{"x": "\\ud800"}'])
    async def test_arguments_that_are_not_a_json_object_are_kept_for_the_model_to_see(
        self, server, client, raw
    ):
        server.replies_with(openai_answer(tool_calls=[openai_call("get_order", raw)]))
        (asked,) = (await client.chat(call(tools=(GET_ORDER,)))).message.tool_calls
        assert asked.arguments == {"__invalid_json__": raw}

    async def test_no_arguments_at_all_are_an_empty_object(self, server, client):
        server.replies_with(openai_answer(tool_calls=[openai_call("get_order", "")]))
        (asked,) = (await client.chat(call(tools=(GET_ORDER,)))).message.tool_calls
        assert asked.arguments == {}

    async def test_a_cut_answer_says_so(self, server, client):
        server.replies_with(openai_answer("It is on", finish_reason="length"))
        answer = await client.chat(call())
        assert (answer.message.text, answer.finish_reason) == ("It is on", "length")

    async def test_the_served_model_is_named(self, server, client):
        server.replies_with(openai_answer("hi"))
        assert (await client.chat(call())).response_model == "smollm2-served"

    async def test_cached_and_reasoning_tokens_are_told_apart(self, server, client):
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 32},
        }
        server.replies_with(openai_answer("hi", usage=usage))
        assert (await client.chat(call())).usage == Usage(
            input_tokens=100, output_tokens=50, cache_read_input_tokens=64, reasoning_output_tokens=32
        )

    async def test_usage_that_the_server_keeps_to_itself_is_reported_as_such(self, server, client):
        server.replies_with(openai_answer("hi", usage={}))
        assert (await client.chat(call())).usage.doubt == "the provider reported no usage"

    async def test_a_total_of_its_own_is_kept(self, server, client):
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 900}
        server.replies_with(openai_answer("hi", usage=usage))
        assert (await client.chat(call())).usage.total_tokens == 900

    @pytest.mark.parametrize(
        "wrong", [{"prompt_tokens": -5}, {"completion_tokens": -1}, {"total_tokens": 10**20}]
    )
    async def test_figures_that_are_no_counts_are_in_doubt(self, server, client, wrong):
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15} | wrong
        server.replies_with(openai_answer("hi", usage=usage))
        assert (await client.chat(call())).usage.doubt

    async def test_two_final_answers_that_differ_are_none(self, server, client):
        said = [openai_call("final_answer", f'{{"refunded": {yes}}}', f"c{yes}") for yes in ("true", "false")]
        server.replies_with(openai_answer(tool_calls=said))
        answer = await client.chat(call(tools=(GET_ORDER,), output_schema=ANSWER_SCHEMA))
        assert answer.message.text == '{"refunded": true}\n{"refunded": false}'

    async def test_text_that_no_payload_could_carry_is_mended(self, server, client):
        server.replies_with(openai_answer("broken \ud800 text"))
        assert (await client.chat(call())).message.text == "broken ? text"

    async def test_a_key_of_openai_never_goes_to_another_address(self, server, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
        server.replies_with(openai_answer("hi"))
        client = PydanticAIModelClient({"openai:smollm2": ModelEndpoint(base_url=f"{server.url}/v1")})
        await client.chat(call())
        assert "sk-of-openai" not in str(server.requests[-1].headers)
        await client.aclose()

    async def test_ollama_goes_by_its_own_name(self, server, client):
        server.replies_with(openai_answer("hi"))
        assert (await client.chat(call("ollama:qwen3"))).message.text == "hi"
        assert server.asked["model"] == "qwen3"

    async def test_ollama_is_told_the_limit_by_the_name_it_knows(self, server, client):
        server.replies_with(openai_answer("hi"))
        await client.chat(call("ollama:qwen3"))
        assert server.asked["max_tokens"] == 100

    async def test_prices_are_never_fetched(self, server, client):
        server.replies_with(openai_answer("hi"))
        await client.chat(call())
        assert genai_prices.update_prices._shared_updater.thread is None


class TestStructuredOutput:
    async def test_without_tools_the_answer_is_held_to_its_schema(self, server, client):
        server.replies_with(openai_answer('{"refunded": true}'))
        answer = await client.chat(call(output_schema=ANSWER_SCHEMA))
        form = server.asked["response_format"]
        assert form["type"] == "json_schema"
        assert form["json_schema"]["schema"]["properties"] == {"refunded": {"type": "boolean"}}
        assert "tools" not in server.asked
        assert answer.message == AssistantMessage(text='{"refunded": true}')

    async def test_with_tools_the_answer_is_one_more_tool_and_comes_back_as_text(self, server, client):
        server.replies_with(openai_answer("Done.", [openai_call("verdict", '{"refunded": true}')]))
        answer = await client.chat(
            call(tools=(GET_ORDER,), output_schema=ANSWER_SCHEMA, output_name="verdict")
        )
        assert [tool["function"]["name"] for tool in server.asked["tools"]] == ["get_order", "verdict"]
        assert server.asked["tool_choice"] == "required"
        assert answer.message == AssistantMessage(text='{"refunded": true}')

    async def test_a_tool_call_beside_the_answer_is_kept(self, server, client):
        asked = [openai_call("final_answer", '{"refunded": true}'), openai_call("get_order", "{}", "call_2")]
        server.replies_with(openai_answer(tool_calls=asked))
        answer = await client.chat(call(tools=(GET_ORDER,), output_schema=ANSWER_SCHEMA))
        assert [kept.id for kept in answer.message.tool_calls] == ["call_2"]
        assert answer.message.text == '{"refunded": true}'

    @pytest.mark.parametrize("tools", [(), (GET_ORDER,)])
    async def test_an_answer_that_is_no_object_is_wrapped_for_the_provider_only(self, server, client, tools):
        schema = {"type": "array", "items": {"$ref": "#/$defs/Id"}, "$defs": {"Id": {"type": "integer"}}}
        wrapped = '{"answer": [1, 2]}'
        said = (
            openai_answer(None, [openai_call("final_answer", wrapped)]) if tools else openai_answer(wrapped)
        )
        server.replies_with(said)
        answer = await client.chat(call(tools=tools, output_schema=schema))
        assert json.loads(answer.message.text) == [1, 2]

    async def test_an_answer_in_another_form_is_left_for_the_run_to_repair(self, server, client):
        server.replies_with(openai_answer("no idea"))
        answer = await client.chat(call(output_schema={"type": "array", "items": {}}))
        assert answer.message.text == "no idea"


class TestConstrainedMode:
    async def test_the_reply_is_held_to_tools_and_final_answer(self, server, client):
        server.replies_with(openai_answer('{"tool": "get_order", "arguments": {"order_id": "A-1"}}'))
        answer = await client.chat(call(tools=(GET_ORDER,), tool_calling="constrained"))
        choices = server.asked["response_format"]["json_schema"]["schema"]["anyOf"]
        assert [choice["properties"]["tool"]["const"] for choice in choices] == ["get_order", "final_answer"]
        assert "tools" not in server.asked
        assert "get_order {order_id: string}: Look an order up." in server.asked["messages"][0]["content"]
        (asked,) = answer.message.tool_calls
        assert (asked.tool, asked.arguments) == ("get_order", {"order_id": "A-1"})

    async def test_the_conversation_has_no_tool_messages(self, server, client):
        server.replies_with(openai_answer('{"tool": "final_answer", "arguments": {"text": "On its way."}}'))
        told = (
            UserMessage(text="Where?"),
            asked_for_order(),
            tool_message("call_1", "sent"),
            UserMessage(text="Well?"),
        )
        answer = await client.chat(call(messages=told, tools=(GET_ORDER,), tool_calling="constrained"))
        roles = [message["role"] for message in server.asked["messages"]]
        assert roles == ["system", "user", "assistant", "user"]
        assert answer.message == AssistantMessage(text="On its way.")

    async def test_a_free_answer_is_not_constrained(self, server, client):
        server.replies_with(openai_answer("Hello."))
        answer = await client.chat(call(tool_calling="constrained"))
        assert "response_format" not in server.asked
        assert answer.message == AssistantMessage(text="Hello.")


class TestAnthropic:
    NAME = "anthropic:claude-sonnet-4-6"

    async def test_text_and_tool_calls_come_back(self, server, client):
        asked = {"type": "tool_use", "id": "toolu_1", "name": "get_order", "input": {"order_id": "A-1"}}
        said = {"type": "text", "text": "Let me see."}
        server.replies_with(anthropic_answer(said, asked, stop_reason="tool_use"))
        answer = await client.chat(call(self.NAME, tools=(GET_ORDER,)))
        assert answer.message == AssistantMessage(
            text="Let me see.",
            tool_calls=(ToolCall(id=ToolCallId("toolu_1"), tool="get_order", arguments={"order_id": "A-1"}),),
        )
        assert (answer.finish_reason, answer.response_model) == ("tool_call", "claude-served")

    async def test_what_was_read_from_and_written_to_the_cache_is_part_of_the_input(self, server, client):
        cached = {"cache_read_input_tokens": 200, "cache_creation_input_tokens": 30}
        server.replies_with(anthropic_answer({"type": "text", "text": "hi"}, **cached))
        assert (await client.chat(call(self.NAME))).usage == Usage(
            input_tokens=240, output_tokens=5, cache_read_input_tokens=200, cache_write_input_tokens=30
        )

    async def test_a_failed_tool_is_marked_as_such(self, server, client):
        server.replies_with(anthropic_answer({"type": "text", "text": "Sorry."}))
        told = (
            UserMessage(text="Where?"),
            asked_for_order("toolu_1"),
            tool_message("toolu_1", "gone", is_error=True),
        )
        await client.chat(call(self.NAME, messages=told, tools=(GET_ORDER,)))
        (result,) = server.asked["messages"][-1]["content"]
        assert (result["tool_use_id"], result["is_error"]) == ("toolu_1", True)

    async def test_the_key_goes_in_its_header(self, server, client):
        server.replies_with(anthropic_answer({"type": "text", "text": "hi"}))
        await client.chat(call(self.NAME))
        assert "sk-secret" in server.requests[-1].headers["authorization"]


class TestOpenAIItself:
    async def test_it_is_told_not_to_keep_what_is_said(self, server, monkeypatch):
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        said = {"type": "output_text", "text": "hi", "annotations": []}
        message = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [said],
        }
        server.replies_with(
            {
                "id": "resp_1",
                "object": "response",
                "created_at": 1700000000,
                "model": "gpt-5",
                "status": "completed",
                "output": [message],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "total_tokens": 15,
                    "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens_details": {"reasoning_tokens": 0},
                },
            }
        )
        client = PydanticAIModelClient()
        answer = await client.chat(call("openai:gpt-5"))
        await client.aclose()
        assert answer.message.text == "hi"
        assert server.asked["store"] is False
