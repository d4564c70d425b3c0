import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agentflow.contracts.model import ToolOffer
from agentflow.contracts.wire import Sha256, ToolCallId
from agentflow.core.constrained import MAX_INVALID_CHARACTERS, ReplyForm, derived_call_id, plain_messages
from agentflow.errors import BlobMissingError

ORDER = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
REFUND = {
    "type": "object",
    "properties": {"line": {"$ref": "#/$defs/Line"}, "next": {"$ref": "#"}},
    "required": ["line"],
    "$defs": {
        "Line": {"type": "object", "properties": {"cents": {"type": "integer"}}, "required": ["cents"]}
    },
}
VERDICT = {
    "type": "object",
    "properties": {"line": {"$ref": "#/$defs/Line"}},
    "required": ["line"],
    "$defs": {"Line": {"const": "closed"}},
}
GET_ORDER = ToolOffer(name="get_order", description="Look an order up.", input_schema=ORDER)
PAY_BACK = ToolOffer(name="pay_back", description="Pay an order line back.", input_schema=REFUND)
FORM = ReplyForm((GET_ORDER, PAY_BACK), VERDICT, "verdict")
FREE = ReplyForm((GET_ORDER,), None)

KEY = "run-1/turn-1"


def fits(form: ReplyForm, tool: str, arguments: Any) -> bool:
    schema = form.schema()
    assert schema is not None
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid({"tool": tool, "arguments": arguments})


def reply(tool: Any, *arguments: Any) -> str:
    return json.dumps({"tool": tool} | ({"arguments": arguments[0]} if arguments else {}))


class TestSchema:
    def test_a_call_of_an_offered_tool_fits(self):
        assert fits(FORM, "get_order", {"order_id": "A-1"})

    def test_arguments_of_another_tool_do_not_fit(self):
        assert not fits(FORM, "get_order", {"line": {"cents": 1}})

    def test_a_tool_that_is_not_on_offer_does_not_fit(self):
        assert not fits(FORM, "drop_table", {})

    def test_references_of_tools_resolve_to_their_own_definitions(self):
        assert fits(FORM, "pay_back", {"line": {"cents": 1}})
        assert not fits(FORM, "pay_back", {"line": "closed"})
        assert fits(FORM, "verdict", {"line": "closed"})
        assert not fits(FORM, "verdict", {"line": {"cents": 1}})

    def test_a_recursive_schema_still_recurs(self):
        assert fits(FORM, "pay_back", {"line": {"cents": 1}, "next": {"line": {"cents": 2}}})
        assert not fits(FORM, "pay_back", {"line": {"cents": 1}, "next": {"line": {"cents": "2"}}})

    def test_a_free_answer_is_a_text(self):
        assert fits(FREE, "final_answer", {"text": "Done."})
        assert not fits(FREE, "final_answer", {})

    def test_an_answer_without_tools_has_its_own_schema(self):
        assert ReplyForm((), ORDER).schema() == ORDER

    def test_a_free_answer_without_tools_has_none(self):
        assert ReplyForm((), None).schema() is None


class TestInstructions:
    def test_tools_are_told_by_name_arguments_and_description(self):
        told = FREE.instructions()
        assert "- get_order {order_id: string}: Look an order up." in told
        assert "- final_answer {text: string}" in told

    def test_a_long_description_is_cut(self):
        long = ToolOffer(name="get_order", description="very " * 1000, input_schema=ORDER)
        assert len(ReplyForm((long,), None).instructions()) < 600

    def test_without_tools_only_the_answer_is_told(self):
        assert ReplyForm((), ORDER).instructions() == "Answer with JSON: {order_id: string}"

    def test_a_free_answer_without_tools_needs_none(self):
        assert ReplyForm((), None).instructions() == ""


class TestParsing:
    def test_a_tool_call_is_read(self):
        (call,) = FREE.parse(reply("get_order", {"order_id": "A-1"}), KEY).tool_calls
        assert call == ToolCall(id=derived_call_id(KEY, 0), tool="get_order", arguments={"order_id": "A-1"})

    def test_every_attempt_gives_the_call_the_same_id(self):
        first, second = (FREE.parse(reply("get_order", {}), KEY) for _ in range(2))
        assert first == second

    def test_two_model_calls_give_different_ids(self):
        first, second = (FREE.parse(reply("get_order", {}), key).tool_calls[0].id for key in ("a", "b"))
        assert first != second

    def test_a_free_final_answer_is_its_text(self):
        assert FREE.parse(reply("final_answer", {"text": "Done."}), KEY) == AssistantMessage(text="Done.")

    def test_a_structured_final_answer_is_its_json(self):
        answer = FORM.parse(reply("verdict", {"line": "closed"}), KEY)
        assert (json.loads(answer.text), answer.tool_calls) == ({"line": "closed"}, ())

    def test_a_fenced_reply_is_read(self):
        answer = FREE.parse(f"```json\n{reply('get_order', {})}\n```", KEY)
        assert answer.tool_calls[0].tool == "get_order"

    def test_a_tool_that_is_not_on_offer_is_left_for_the_run_to_refuse(self):
        assert FREE.parse(reply("drop_table", {}), KEY).tool_calls[0].tool == "drop_table"

    def test_missing_arguments_are_none(self):
        assert FREE.parse(reply("get_order"), KEY).tool_calls[0].arguments == {}

    def test_arguments_that_are_no_object_are_kept_for_the_model_to_see(self):
        text = reply("get_order", ["A-1"])
        assert FREE.parse(text, KEY).tool_calls[0].arguments == {"__invalid_json__": text}

    def test_no_more_of_them_is_kept_than_is_needed(self):
        (call,) = FREE.parse(reply("get_order", "x" * 10_000), KEY).tool_calls
        assert len(call.arguments["__invalid_json__"]) == MAX_INVALID_CHARACTERS

    @pytest.mark.parametrize(
        "text",
        ["I think so.", "", '{"tool": "get_order", "argu', "[]", '{"tool": 1}', '{"a": NaN}', "[" * 100_000],
    )
    def test_what_is_not_in_the_form_is_plain_text(self, text):
        assert FREE.parse(text, KEY) == AssistantMessage(text=text)

    def test_without_tools_the_reply_is_the_answer_as_it_stands(self):
        text = reply("get_order", {})
        assert ReplyForm((), ORDER).parse(text, KEY) == AssistantMessage(text=text)

    @given(st.text(st.characters(codec=None)))
    def test_any_text_is_read_without_an_exception(self, text):
        FREE.parse(text, KEY).model_dump_json()

    @given(
        st.dictionaries(st.sampled_from(["tool", "arguments", "x"]), st.deferred(lambda: ANY_JSON)),
        st.sampled_from([FREE, FORM]),
    )
    def test_any_object_is_read_without_an_exception(self, value, form):
        form.parse(json.dumps(value), KEY).model_dump_json()


ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.just("verdict")
    | st.just("\ud800"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("text"), inner),
    max_leaves=10,
)


class TestPlainMessages:
    @staticmethod
    def result(content: str | None, *, is_error: bool = False) -> ToolMessage:
        return ToolMessage(
            tool_call_id=ToolCallId("c1"),
            tool="get_order",
            content_hash=Sha256("0" * 64),
            content=content,
            is_error=is_error,
        )

    def test_a_tool_call_is_told_in_the_form_of_a_reply(self):
        call = ToolCall(id=ToolCallId("c1"), tool="get_order", arguments={"order_id": "A-1"})
        (said,) = plain_messages([AssistantMessage(tool_calls=(call,))])
        assert FREE.parse(said.text, KEY).tool_calls[0].arguments == call.arguments

    def test_a_result_is_told_as_the_tools_words(self):
        assert plain_messages([self.result("sent")])[0].text == "get_order returned: sent"

    def test_a_failure_is_told_as_one(self):
        assert plain_messages([self.result("gone", is_error=True)])[0].text == "get_order failed: gone"

    def test_a_result_without_its_text_is_refused(self):
        with pytest.raises(BlobMissingError, match="get_order"):
            plain_messages([self.result(None)])

    @given(st.lists(st.sampled_from(["user", "assistant", "tool"])))
    def test_nobody_speaks_twice_in_a_row_to_the_model(self, kinds):
        said: dict[str, Message] = {
            "user": UserMessage(text="u"),
            "assistant": AssistantMessage(text="a"),
            "tool": self.result("t"),
        }
        plain = plain_messages([said[kind] for kind in kinds])
        assert all(
            not (isinstance(one, UserMessage) and isinstance(other, UserMessage))
            for one, other in itertools.pairwise(plain)
        )
