import json
import shlex
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.budget import Budget, Spend
from agentflow.contracts.escalation import EffectInDoubt, Escalation, SaidWord
from agentflow.contracts.identity import Consent, RefusedAttempt
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import ToolCallId, sha256_of
from agentflow.core.approver_page import sentence_of
from agentflow.core.budget import Purse
from agentflow.core.view import MAX_SHOWN, RunView, details, escalation_details, signal_command
from tests.core.samples import DEADLINE, approval_request
from tests.core.strategies import json_objects

hostile_text = st.text("`~\n\r\t #>*_[]()<>!|\\ab$'\"") | st.text()
HOSTILE = [
    "```\n# Approved already\n```",
    "````````\n[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "# heading\n\n- list\n\n| a | b |\n|---|---|",
    "![pixel](https://evil.example/x.png)",
    "~~~",
    "---",
    "- item",
    "1) item",
    "&lt;b&gt;",
]


def view_of(
    *requests: ApprovalRequest, workflow_id: str = "refund-1", budget: Budget | None = None, **fields: Any
) -> RunView:
    purse = Purse(budget or Budget(), settled=Spend(cost_usd=Decimal("0.1234"), model_calls=2))
    return RunView(
        workflow_id=workflow_id,
        agent="Refunds",
        release="1+abc",
        state="waiting_for_approval",
        turn=3,
        usage=purse.report(),
        pending=requests,
        **fields,
    )


def tokens(view: RunView) -> list[Token]:
    """The page as a Markdown reader takes it."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(details(view))


def fences(view: RunView) -> list[tuple[str, str]]:
    return [(token.info, token.content) for token in tokens(view) if token.type == "fence"]


def marks(view: RunView) -> list[str]:
    """What of the page is more than plain text, in order."""
    plain = {"text", "inline", "paragraph_open", "paragraph_close", "fence", "softbreak"}
    flat = [part for token in tokens(view) for part in (token, *(token.children or ()))]
    return [token.type for token in flat if token.type not in plain]


PLAIN_MARKS = marks(view_of(approval_request()))


@given(st.dictionaries(st.just("note"), hostile_text | st.sampled_from(HOSTILE), min_size=1))
def test_an_argument_can_not_close_its_code_block(arguments: dict[str, str]) -> None:
    blocks = fences(view_of(approval_request(arguments=arguments)))
    assert [language for language, _ in blocks] == ["json", "sh"]
    assert json.loads(blocks[0][1]) == arguments


@given(hostile_text | st.sampled_from([f"refund\n{text}" for text in HOSTILE]))
def test_nor_can_a_workflow_id_close_that_of_the_commands(workflow_id: str) -> None:
    view = view_of(approval_request(), workflow_id=workflow_id)
    assert [language for language, _ in fences(view)] == ["json", "sh"]
    assert marks(view) == PLAIN_MARKS


@given(hostile_text | st.sampled_from(HOSTILE), hostile_text | st.sampled_from(HOSTILE))
def test_no_text_of_a_request_writes_the_approvers_page(name: str, text: str) -> None:
    def shown(name: str, text: str) -> list[str]:
        said = approval_request(
            arguments={name: text}, reason=text, tool=text, sources={name: f"tool:{text}"}
        )
        about = {"sentence": sentence_of(text, None, {name: text}) or "x", "on_refusal": text or "x"}
        return marks(view_of(said.model_copy(update=about)))

    assert shown(name, text) == shown("name", "text")


@given(hostile_text | st.sampled_from(HOSTILE))
def test_nor_does_the_reason_of_an_escalation(text: str) -> None:
    def page(reason: str) -> list[str]:
        escalation = Escalation(id="escalation-1", reason=reason, deadline=DEADLINE, answerable=False)
        return marks(view_of(escalation=escalation, detail=reason))

    assert page(text) == page("reason")


@given(st.text(min_size=1), st.text(min_size=1), json_objects)
def test_a_command_is_one_shell_command_with_its_payload_whole(
    workflow_id: str, signal: str, payload: dict[str, Any]
) -> None:
    words = shlex.split(signal_command(workflow_id, signal, payload))
    assert words[:3] == ["temporal", "workflow", "signal"]
    given_ = dict(zip(words[3::2], words[4::2], strict=True))
    assert given_["--workflow-id"] == workflow_id
    assert given_["--name"] == signal
    assert json.loads(given_["--input"]) == payload


@given(json_objects)
def test_the_page_shows_commands_that_approve_and_reject_exactly_this_action(
    arguments: dict[str, Any],
) -> None:
    request = approval_request(arguments=arguments, roles=("finance", "ops"))
    shown = fences(view_of(request))[1][1]
    payloads = [json.loads(shlex.split(line)[-1]) for line in shown.splitlines()]
    assert [shlex.split(line)[6] for line in shown.splitlines()] == ["approve", "reject"]
    for payload in payloads:
        assert payload["approval_id"] == request.id
        assert payload["arguments_hash"] == request.arguments_hash
        assert payload["roles"] == ["finance"]


def test_the_escalation_shows_commands_that_guide_and_abort() -> None:
    escalation = Escalation(id="escalation-1", reason="stuck", deadline=DEADLINE, answerable=False)
    shown = fences(view_of(escalation=escalation))[0][1]
    payloads = [json.loads(shlex.split(line)[-1]) for line in shown.splitlines()]
    assert [(payload["action"], payload["escalation_id"]) for payload in payloads] == [
        ("guide", "escalation-1"),
        ("abort", "escalation-1"),
    ]


def test_an_effect_in_doubt_shows_its_arguments_and_the_commands_that_say_what_happened() -> None:
    effect = EffectInDoubt(
        key=sha256_of("key"),
        tool="refund",
        tool_call_id=ToolCallId("1"),
        arguments={"amount": "9.00"},
        detail="",
    )
    escalation = Escalation(
        id="escalation-1", reason="stuck", deadline=DEADLINE, answerable=False, effect=effect
    )
    arguments, commands = fences(view_of(escalation=escalation))
    assert json.loads(arguments[1]) == {"amount": "9.00"}
    payloads = [json.loads(shlex.split(line)[-1]) for line in commands[1].splitlines()]
    assert [payload["action"] for payload in payloads] == ["happened", "did_not_happen", "abort"]
    assert {payload["escalation_id"] for payload in payloads} == {"escalation-1"}
    assert effect.key in details(view_of(escalation=escalation))


# Turn text around, or take no room: an account may read as another one.
INVISIBLE = "\u200b\u200f\u202e\u2066\u2069\ufeff\u00ad\x1b\u2028\u00a0\u3164\u2800\ufe0f\U000e0041"


@given(st.lists(st.sampled_from([*INVISIBLE, "a", "1", " "]), min_size=1).map("".join))
def test_characters_that_an_approver_can_not_see_are_shown_as_escapes(text: str) -> None:
    shown = view_of(approval_request(arguments={"to": text}, reason=f"r{text}", tool=f"t{text}"))
    assert not set(INVISIBLE) & set(details(shown))
    assert json.loads(fences(shown)[0][1]) == {"to": text}


def test_a_long_argument_says_how_much_is_not_shown() -> None:
    page = details(view_of(approval_request(arguments={"text": "x" * 50_000})))
    assert "characters more" in page
    assert len(page) < MAX_SHOWN * 2


def test_the_page_says_what_was_spent_of_what() -> None:
    page = details(view_of(budget=Budget(cost_usd=Decimal("2.50"))))
    assert "Spent $0.1234 of $2.50; 2 model calls" in page
    assert "of no limit" in details(view_of(budget=Budget(cost_usd=None)))


def test_the_page_says_how_many_people_and_which_roles_are_needed() -> None:
    page = details(view_of(approval_request(people=2, roles=("finance", "ops"))))
    assert (
        "2 more of 2 with role finance or ops; not ada lovelace, who asked for the run (not verified)" in page
    )
    assert "11-22 12:00:00+00:00; no answer is a refusal" in page


def test_what_is_too_long_to_show_comes_without_a_command_that_approves_it() -> None:
    shown = details(view_of(approval_request(arguments={"note": "x" * 5_000})))
    assert "--name approve" not in shown
    assert "--name reject" in shown
    assert "agentflow approvals" in shown


def test_an_escalation_shows_whom_it_needs_what_they_said_and_what_did_not_count() -> None:
    word = SaidWord(
        consent=Consent(by="ann"), action="happened", text="seen", result=7, word_hash=sha256_of(1)
    )
    attempt = RefusedAttempt(at=DEADLINE, by="rita", verdict="happened", reason="rita asked for this run")
    escalation = Escalation(
        id="escalation-1",
        reason="stuck",
        deadline=DEADLINE,
        answerable=False,
        quorum=Quorum(people=2, roles=("finance",)),
        requested_by="rita",
        words=(word,),
        refused=(attempt,),
        refusals=3,
    )
    text = escalation_details("run-1", escalation).replace("\\", "")
    assert "2 with role finance who say the same; not rita, who asked for the run; anybody may abort" in text
    assert "ann: happened with the result 7 (seen)" in text
    assert "3 so far; the last by rita: rita asked for this run" in text
    assert '"roles": ["finance"]' in text
