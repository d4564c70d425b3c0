"""Places where texts are shown to people, as functions of one text."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from agentflow.adapters.history.finding import Finding
from agentflow.audit.report.html import html_of
from agentflow.audit.report.told import ToldRun
from agentflow.cli.output import Output, columns, safe
from agentflow.contracts.approval import ApprovalRequest, UntrustedValue
from agentflow.contracts.budget import Budget, Spend
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import ApprovalId, Json, Sha256, ToolCallId
from agentflow.core.approver_page import page, sentence_of
from agentflow.core.budget import Purse
from agentflow.core.idempotency import arguments_hash
from agentflow.core.view import RunView, approval_details, details, escalation_details
from agentflow.core.visible import visible_line
from agentflow.telemetry.log_fields import bounded

_DEADLINE = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """A place that has markup of its own."""

    shown: Callable[[str], str]
    markup: Callable[[str], Sequence[str]]
    """What of it is more than text, in order."""


def _column(text: str) -> str:
    return columns(["reason", "by"], [(text, "ann")]).plain.partition("\n")[2]


def _field(text: str) -> str:
    return str(bounded(text))


def _sentence(text: str) -> str:
    return visible_line(sentence_of("pay", None, {"to": text, "of": {text: [text]}}))


def _untrusted(text: str) -> str:
    asked = _asked({"untrusted": (UntrustedValue(argument="to", value=text or "-", why="nobody said it"),)})
    return visible_line(dict(page(asked))["not trusted"])


LINES: Mapping[str, Callable[[str], str]] = {
    "line": visible_line,
    "column": _column,
    "log field": _field,
    "sentence": _sentence,
    "untrusted value": _untrusted,
}
"""Where a text is in one line."""


def _asked(fields: Mapping[str, object]) -> ApprovalRequest:
    given: dict[str, Json] = {"order": "ORD-7"}
    asked = ApprovalRequest(
        id=ApprovalId("approval-1"),
        tool="refund",
        tool_call_id=ToolCallId("c1"),
        arguments=given,
        arguments_hash=arguments_hash("refund", given),
        rule="large",
        reason="more than $100",
        quorum=Quorum(),
        requested_by="ada",
        deadline=_DEADLINE,
    )
    return asked.model_copy(update=dict(fields))


def _approval(**fields: str) -> Callable[[str], str]:
    """Details of an approval that has the text as these fields."""

    def shown(text: str) -> str:
        return approval_details("run-1", _asked({name: form.format(text) for name, form in fields.items()}))

    return shown


def _argument(text: str) -> str:
    given: dict[str, Json] = {"note": text, "of": [{f"x{text}": 1}]}
    # The command that approves is not shown where the hash is another's.
    return approval_details(
        "run-1", _asked({"arguments": given, "arguments_hash": Sha256(arguments_hash("refund", given))})
    ).replace(arguments_hash("refund", given), "HASH")


def _escalation(text: str) -> str:
    return escalation_details(
        "run-1", Escalation(id="escalation-1", reason=f"it said {text}", deadline=_DEADLINE, answerable=True)
    )


def _view(text: str) -> str:
    usage = Purse(Budget(), settled=Spend(cost_usd=Decimal("0.1"))).report()
    view = RunView("run-1", "Refunds", "1+abc", "running", 3, usage, detail=f"on {text}")
    return details(view)


def _terminal(text: str) -> str:
    stream = io.StringIO()
    with redirect_stdout(stream):
        Output(as_json=False).result({}, safe(text))
    return stream.getvalue().removesuffix("\n")


def _report(text: str) -> str:
    said: dict[str, Json] = {"detail": text, "reason": text, "message": text}
    facts: dict[str, Json] = {"accepted": False, "tool": f"pay {text}", "rule": text, "by": text}
    found = Finding("decision", _DEADLINE, "e", facts=facts, contents=said)
    return html_of(ToldRun(f"run {text}", f"Refunds {text}", (found,), proof=f"By {text}."))


_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
_PLAIN = frozenset({"text", "inline", "paragraph_open", "paragraph_close", "softbreak", "text_special"})


def _markdown(shown: str) -> list[str]:
    tokens = _MARKDOWN.parse(shown)
    flat = [part for token in tokens for part in (token, *(token.children or ()))]
    return [f"{part.type} {part.info}" for part in flat if part.type not in _PLAIN]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and the names of its attributes."""
        self.found.append(f"{tag} {[name for name, _ in attrs]}")

    def handle_comment(self, data: str) -> None:
        """Note a comment."""
        self.found.append("comment")


def _tags(shown: str) -> list[str]:
    tags = _Tags()
    tags.feed(shown)
    return tags.found


def _escapes(shown: str) -> list[str]:
    return [char for char in shown if char in "\x1b\x9b\x07\r\x08"]


PAGES: Mapping[str, Page] = {
    "reason": Page(_approval(reason="since {}"), _markdown),
    "names": Page(_approval(tool="{}", requested_by="{}", rule="{}"), _markdown),
    "argument": Page(_argument, _markdown),
    "escalation": Page(_escalation, _markdown),
    "view": Page(_view, _markdown),
    "terminal": Page(_terminal, _escapes),
    "report": Page(_report, _tags),
}
"""Where a text is within a page."""
