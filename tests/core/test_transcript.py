from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agentflow.contracts.model import HEAD_DIGITS
from agentflow.contracts.tools import ToolError, ToolResult
from agentflow.contracts.wire import Sha256, ToolCallId, sha256_of
from agentflow.core.idempotency import run_root
from agentflow.core.pricing import message_token_bound
from agentflow.core.transcript import (
    Transcript,
    abridged,
    node_hash,
    text_hash,
    tool_message,
    tool_text,
    written_out,
)
from agentflow.errors import AgentflowError
from tests.core.samples import call_of
from tests.core.strategies import assistant_messages, json_values, messages, odd_values, tool_calls

WELL, BADLY = ToolResult(output=7), ToolResult(error=ToolError(kind="failed", message="sold out"))
ROOT, OTHER_ROOT = run_root("default", "refund-1"), run_root("default", "refund-2")
RECORDED = "1413e21a2aa6192a53e80425297756d9bbb0ab4b6eb1ef26ef14c51f6b8d14af"
"""Made when encoding version 2 was new: another name would lose every conversation under way."""
BRIEF = sha256_of("brief")
Turn = tuple[list[Message], AssistantMessage]
turns = st.lists(st.tuples(st.lists(messages, max_size=2), assistant_messages), min_size=1, max_size=3)


def added(transcript: Transcript, said: Sequence[Message], *, stored: bool = False) -> Transcript:
    for message in said:
        transcript = transcript.add(message, stored=stored)
    return transcript


def told(root: Sha256, said: Sequence[Turn]) -> tuple[Transcript, list[Sha256]]:
    """A transcript of these turns, and the names of its nodes."""
    transcript, heads = Transcript(root), list[Sha256]()
    for news, answer in said:
        transcript = added(transcript, news)
        heads.append(node_hash(root, transcript.head, (*transcript.news, answer), BRIEF))
        transcript = transcript.answered(answer, heads[-1][:HEAD_DIGITS], BRIEF)
    return transcript, heads


@given(turns)
def test_two_runs_share_no_node_whatever_they_say(said: list[Turn]) -> None:
    ours, theirs = told(ROOT, said)[1], told(OTHER_ROOT, said)[1]
    assert not set(ours) & set(theirs)
    assert len(set(ours)) == len(said)


@given(turns)
def test_the_same_words_in_the_same_run_have_the_same_names(said: list[Turn]) -> None:
    assert told(ROOT, said) == told(ROOT, said)


@given(st.lists(messages, max_size=4))
def test_by_reference_and_in_full_is_the_same_node(said: list[Message]) -> None:
    referred = added(Transcript(ROOT), said, stored=True).news
    assert node_hash(ROOT, None, referred, BRIEF) == node_hash(ROOT, None, said, BRIEF)
    assert all(message.content is None for message in referred if isinstance(message, ToolMessage))


def test_a_text_that_is_not_stored_is_sent_in_full() -> None:
    said = tool_message(call_of("order"), ToolResult(output={"paid": 5}))
    assert Transcript(ROOT).add(said).news == (said,)


@given(st.data(), st.lists(tool_calls, max_size=3), st.lists(messages, max_size=2))
def test_what_is_sent_as_names_is_written_out_again(
    data: st.DataObject, calls: list[ToolCall], rest: list[Message]
) -> None:
    transcript = Transcript(ROOT)
    for call in calls:
        result = data.draw(st.sampled_from([WELL, BADLY]))
        transcript = transcript.add(tool_message(call, result), stored=data.draw(st.booleans()))
    news = added(transcript, rest).news
    names, others = abridged(news, calls)
    assert written_out(names, calls, others) == news


def test_results_that_went_well_and_are_in_history_are_sent_as_names() -> None:
    calls = [call_of("order", "1"), call_of("order", "2"), call_of("order", "3")]
    first, second = (tool_message(call, WELL) for call in calls[:2])
    third = tool_message(calls[2], BADLY)
    transcript = added(Transcript(ROOT), [first, second, third], stored=True)
    assert abridged(transcript.news, calls) == (
        (first.content_hash, second.content_hash),
        (third.model_copy(update={"content": None}),),
    )


def test_results_out_of_order_are_written_out() -> None:
    calls = [call_of("order", "1"), call_of("order", "2")]
    news = added(Transcript(ROOT), [tool_message(call, WELL) for call in reversed(calls)], stored=True).news
    assert abridged(news, calls) == ((), news)


def test_more_results_than_the_parents_calls_belong_to_another_conversation() -> None:
    with pytest.raises(AgentflowError, match="2 results answer the parent's 1 tool calls"):
        written_out([sha256_of("a"), sha256_of("b")], [call_of("order")], ())


@given(turns, st.lists(messages, max_size=2), assistant_messages)
def test_only_the_hash_of_what_was_said_is_taken_for_the_head(
    said: list[Turn], news: list[Message], answer: AssistantMessage
) -> None:
    transcript = added(told(ROOT, said)[0], news)
    other = AssistantMessage(text=answer.text + "!", tool_calls=answer.tool_calls)
    for wrong in (
        node_hash(ROOT, transcript.head, (*news, other), BRIEF),
        node_hash(ROOT, None, (*news, answer), BRIEF),
        node_hash(OTHER_ROOT, transcript.head, (*news, answer), BRIEF),
        node_hash(ROOT, transcript.head, (*news, answer), sha256_of("another brief")),
        node_hash(ROOT, transcript.head, (*news, answer), None),
    ):
        with pytest.raises(AgentflowError, match="expected"):
            transcript.answered(answer, wrong[:HEAD_DIGITS], BRIEF)


def changed(text: str, place: int, put: str) -> str:
    where = place % len(text)
    return text[:where] + put + text[where + 1 :]


texts = st.text(min_size=1)


@given(
    texts, st.integers(0, 10**6), st.characters(codec="utf-8"), st.sampled_from(["user", "answer", "tool"])
)
def test_changing_any_character_changes_the_head(text: str, place: int, put: str, kind: str) -> None:
    other = changed(text, place, put)
    assume(other != text)
    call = call_of("order", id=text)

    def head(said: str) -> Sha256:
        message: Message
        match kind:
            case "user":
                message = UserMessage(text=said)
            case "answer":
                arguments = {"id": said}
                message = AssistantMessage(
                    tool_calls=(ToolCall(id=ToolCallId("call_1"), tool="order", arguments=arguments),)
                )
            case _:
                message = tool_message(call, ToolResult(output=said))
        return node_hash(ROOT, None, [UserMessage(text="first"), message], BRIEF)

    assert head(other) != head(text)


@given(st.lists(messages, min_size=1, max_size=4), st.lists(messages, max_size=4))
def test_other_messages_make_another_head(said: list[Message], instead: list[Message]) -> None:
    def essence(conversation: list[Message]) -> list[Any]:
        # The content itself is covered by its hash.
        return [message.model_copy(update={"content": None}) for message in conversation]

    same = node_hash(ROOT, None, said, BRIEF) == node_hash(ROOT, None, instead, BRIEF)
    assert same == (essence(said) == essence(instead))


@given(turns, st.data())
def test_changing_an_early_turn_changes_the_last_head(said: list[Turn], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(said) - 1))
    news, answer = said[which]
    edited = [*said[:which], ([*news, UserMessage(text="and one more thing")], answer), *said[which + 1 :]]
    assert told(ROOT, edited)[1][-1] != told(ROOT, said)[1][-1]


@given(turns)
def test_a_transcript_holds_the_last_name_and_the_size_of_what_was_said(said: list[Turn]) -> None:
    transcript, heads = told(ROOT, said)
    whole = [m for news, answer in said for m in (*news, answer)]
    assert (transcript.head, transcript.news) == (heads[-1], ())
    assert [line.kind for line in transcript.outline] == [message.kind for message in whole]
    assert transcript.tokens == sum(message_token_bound(message) for message in whole)


def test_the_names_of_nodes_are_those_that_were_recorded() -> None:
    call = call_of("order", id="ä")
    said = [
        UserMessage(text="hello", label="instruction"),
        AssistantMessage(text="", tool_calls=(call,)),
        tool_message(call, ToolResult(output={"paid": "1.00"})),
    ]
    assert node_hash(ROOT, None, said, BRIEF) == RECORDED


@given(json_values)
def test_a_tools_text_survives_the_store(output: Any) -> None:
    text = tool_text(ToolResult(output=output))
    assert text_hash(text.encode(errors="replace").decode()) == text_hash(text)


@given(odd_values)
def test_a_tools_text_is_text_that_utf8_can_carry_or_there_is_none(output: Any) -> None:
    try:
        text = tool_text(ToolResult(output=output))
    except (ValueError, TypeError, RecursionError):
        return
    assert text.encode().decode() == text


def test_a_tools_error_is_told_as_what_went_wrong() -> None:
    refused = ToolResult(error=ToolError(kind="denied", message="rule limit: too much"))
    message = tool_message(call_of("refund"), refused)
    assert message.is_error
    assert message.content == '{"error":"denied","message":"rule limit: too much"}'
    assert message.content_hash == sha256_of(message.content)
