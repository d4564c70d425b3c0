"""What a model call costs, and the most it can cost."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

from agentflow.contracts.budget import Spend, Usage
from agentflow.contracts.messages import (
    AssistantMessage,
    Message,
    ToolMessage,
    UserMessage,
)
from agentflow.contracts.model import ModelPrice, ToolOffer
from agentflow.contracts.wire import Json, canonical_json

_MILLION = Decimal(1_000_000)
_SMALLEST_USD = Decimal("1e-12")

# Tokenizers of today's models are built on bytes: a token stands for one byte at least, so the UTF-8
# length bounds the tokens of a text. What providers wrap around it (roles, separators, the preamble
# that explains tool use) is bounded by these, several times what was measured.
TOKENS_AROUND_REQUEST = 1_000
TOKENS_AROUND_MESSAGE = 16
TOKENS_AROUND_TOOL = 64


def cost_usd(usage: Usage, price: ModelPrice) -> Decimal:
    """What a call cost: each kind of token at its own price, plus the request's price.

    Cached tokens are part of ``input_tokens``; without a price of their own they cost as input.
    """
    read, write = usage.cache_read_input_tokens, usage.cache_write_input_tokens
    fresh = max(usage.input_tokens - read - write, 0)
    base = price.input_usd_per_mtok
    read_price = base if price.cache_read_usd_per_mtok is None else price.cache_read_usd_per_mtok
    write_price = base if price.cache_write_usd_per_mtok is None else price.cache_write_usd_per_mtok
    per_token = (
        fresh * base
        + read * read_price
        + write * write_price
        + usage.output_tokens * price.output_usd_per_mtok
    )
    return _chargeable(per_token / _MILLION + price.request_usd)


def is_as_cheap(price: ModelPrice, other: ModelPrice) -> bool:
    """Whether nothing costs more at a price than at another one."""

    def parts(of: ModelPrice) -> tuple[Decimal, ...]:
        base, read, write = of.input_usd_per_mtok, of.cache_read_usd_per_mtok, of.cache_write_usd_per_mtok
        return (
            base,
            of.output_usd_per_mtok,
            base if read is None else read,
            base if write is None else write,
            of.request_usd,
        )

    return all(one <= another for one, another in zip(parts(price), parts(other), strict=True))


def worst_case(price: ModelPrice, input_tokens: int, max_output_tokens: int) -> Spend:
    """The most that one attempt of a call can cost: every input token at the dearest input price."""
    dearest = max(
        price.input_usd_per_mtok,
        price.cache_read_usd_per_mtok or Decimal(0),
        price.cache_write_usd_per_mtok or Decimal(0),
    )
    tokens = input_tokens * dearest + max_output_tokens * price.output_usd_per_mtok
    return Spend(
        cost_usd=_chargeable(tokens / _MILLION + price.request_usd),
        input_tokens=input_tokens,
        output_tokens=max_output_tokens,
        model_calls=1,
    )


def brief_token_bound(instructions: str, tools: Sequence[ToolOffer], output_schema: Json | None) -> int:
    """An upper bound of the input tokens of a request without its messages, for any model's tokenizer."""
    size = TOKENS_AROUND_REQUEST + _length(instructions)
    size += sum(
        len(canonical_json(tool.input_schema)) + _length(tool.name + tool.description) + TOKENS_AROUND_TOOL
        for tool in tools
    )
    return size + (0 if output_schema is None else len(canonical_json(output_schema)))


def input_token_bound(
    instructions: str,
    messages: Sequence[Message],
    tools: Sequence[ToolOffer],
    output_schema: Json | None,
) -> int:
    """An upper bound of a request's input tokens, for any model's tokenizer."""
    said = sum(message_token_bound(message) for message in messages)
    return brief_token_bound(instructions, tools, output_schema) + said


def message_token_bound(message: Message) -> int:
    """An upper bound of a message's input tokens, for any model's tokenizer. Its text must be there."""
    return _message_bytes(message) + TOKENS_AROUND_MESSAGE


def _chargeable(amount: Decimal) -> Decimal:
    """Rounded up to the places that ``Usd`` has: a price may have more, once divided by a million."""
    rounded = amount.quantize(_SMALLEST_USD, ROUND_CEILING)
    return amount if rounded == amount else rounded


def _message_bytes(message: Message) -> int:
    match message:
        case UserMessage():
            return _length(message.text)
        case AssistantMessage():
            calls = sum(
                len(canonical_json(call.arguments)) + _length(call.tool) for call in message.tool_calls
            )
            return _length(message.text) + calls + TOKENS_AROUND_MESSAGE * len(message.tool_calls)
        case ToolMessage():
            return _length(message.content or "") + _length(message.tool)


def _length(text: str) -> int:
    return len(text.encode("utf-8", errors="surrogatepass"))
