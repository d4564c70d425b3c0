"""The bundled model through its own server: what the scripted provider can't show."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from agentflow.adapters.local_model import LocalModel
from agentflow.adapters.pydantic_ai import ModelEndpoint, PydanticAIModelClient
from agentflow.contracts.messages import UserMessage
from agentflow.contracts.model import ModelCall, ModelPrice, ModelSpec, ToolOffer

pytestmark = pytest.mark.model

ORDER_ID = {"type": "string", "pattern": "^[A-Z]-[0-9]{4}$"}
GET_ORDER = ToolOffer(
    name="get_order",
    description="Look up where an order is.",
    input_schema={"type": "object", "properties": {"order_id": ORDER_ID}, "required": ["order_id"]},
)
REFUND_ORDER = ToolOffer(
    name="refund_order",
    description="Give the customer the money back for an order.",
    input_schema={
        "type": "object",
        "properties": {"order_id": ORDER_ID, "reason": {"$ref": "#/$defs/Reason"}},
        "required": ["order_id", "reason"],
        "$defs": {"Reason": {"enum": ["broken", "late"]}},
    },
)


@pytest.fixture(scope="module")
async def local() -> AsyncIterator[Any]:
    async with LocalModel() as running:
        yield running


@pytest.fixture
async def client(local: Any) -> AsyncIterator[PydanticAIModelClient]:
    made = PydanticAIModelClient({"openai": ModelEndpoint(base_url=local.base_url)})
    yield made
    await made.aclose()


def call(local: Any, text: str, max_output_tokens: int = 100, **fields: Any) -> ModelCall:
    price = ModelPrice(input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0))
    return ModelCall(
        model=ModelSpec(name=f"openai:{local.model_name}", price=price, tool_calling="constrained"),
        instructions="You work for a shop. Choose the next tool.",
        messages=(UserMessage(text=text),),
        max_output_tokens=max_output_tokens,
        temperature=0.0,
        timeout=timedelta(minutes=2),
        idempotency_key="run-1/turn-1",
        **fields,
    )


async def test_a_tiny_model_chooses_among_two_tools_and_fills_their_arguments(local, client):
    asked = call(local, "Please refund my order A-1001, it arrived broken.", tools=(GET_ORDER, REFUND_ORDER))
    answer = await client.chat(asked)
    (chosen,) = answer.message.tool_calls
    assert (chosen.tool, chosen.arguments) == ("refund_order", {"order_id": "A-1001", "reason": "broken"})
    assert answer.usage.input_tokens > 0 < answer.usage.output_tokens


async def test_what_a_grammar_cannot_hold_does_not_stop_the_server(local, client):
    anything = {
        "type": "object",
        "properties": {
            "mail": {"type": "string", "format": "email", "pattern": r"^\S+@é$", "maxLength": 30},
            "count": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 2**63},
            "any": True,
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 2},
        },
        "required": ["mail", "count", "tags"],
    }
    answer = await client.chat(call(local, "Write to us.", 20, output_schema=anything))
    assert answer.message.text.startswith("{")
