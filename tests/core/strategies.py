"""Values that Hypothesis draws."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from agentflow.contracts.budget import Spend
from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agentflow.contracts.wire import ToolCallId
from agentflow.core.transcript import text_hash

Json = Any

_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)

json_values: st.SearchStrategy[Json] = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
"""What JSON has: finite numbers, and text that UTF-8 can carry."""

json_objects: st.SearchStrategy[dict[str, Json]] = st.dictionaries(st.text(), json_values, max_size=4)


any_text = st.text(st.characters())
"""Lone surrogates included, which Python strings hold and UTF-8 does not."""

odd_values: st.SearchStrategy[Json] = st.recursive(
    _scalars
    | any_text
    | st.floats()
    | st.sampled_from([10**400, float("nan"), float("inf"), "NaN", "1e999999", "-0", Decimal("NaN")])
    | st.sampled_from([b"bytes", {1, 2}, object()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text | st.integers(), inner, max_size=3),
    max_leaves=6,
)
"""What should never come, and must do no harm when it does."""

odd_objects: st.SearchStrategy[dict[str, Json]] = st.dictionaries(any_text, odd_values, max_size=3)

dollars = st.decimals(min_value=0, max_value=5, places=4, allow_nan=False, allow_infinity=False)

spends: st.SearchStrategy[Spend] = st.builds(
    Spend,
    cost_usd=dollars,
    input_tokens=st.integers(0, 2_000),
    output_tokens=st.integers(0, 500),
    model_calls=st.integers(0, 1),
    tool_calls=st.integers(0, 1),
)

tool_calls: st.SearchStrategy[ToolCall] = st.builds(
    ToolCall,
    id=st.text(min_size=1, max_size=8).map(ToolCallId),
    tool=st.text(max_size=8),
    arguments=json_objects,
)


@st.composite
def tool_messages(draw: st.DrawFn) -> ToolMessage:
    """A tool's result, its text included."""
    text = draw(st.text())
    return ToolMessage(
        tool_call_id=ToolCallId(draw(st.text(max_size=8))),
        tool=draw(st.text(max_size=8)),
        content_hash=text_hash(text),
        content=text,
        is_error=draw(st.booleans()),
    )


assistant_messages: st.SearchStrategy[AssistantMessage] = st.builds(
    AssistantMessage, text=st.text(), tool_calls=st.lists(tool_calls, max_size=2).map(tuple)
)

messages: st.SearchStrategy[Message] = (
    st.builds(UserMessage, text=st.text(), label=st.text(max_size=8)) | assistant_messages | tool_messages()
)
