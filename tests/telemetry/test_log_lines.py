"""One line of a log: what it may say, who speaks, and no more than that."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from agentflow.redaction import Redactor
from agentflow.telemetry.log_fields import MAX_FIELD
from agentflow.telemetry.logs import configure_logs, failure, flush_logs, log_texts

Lines = Callable[[], list[dict[str, Any]]]
CARD = "4111 1111 1111 1111"


pytestmark = pytest.mark.usefixtures("logs_as_they_were")


@pytest.fixture
def logged(tmp_path: Path) -> Callable[..., Lines]:
    def begin(**settings: Any) -> Lines:
        file = tmp_path / "log"
        configure_logs(file=file, **settings)
        return lambda: [json.loads(line) for line in written(file).splitlines()]

    return begin


def written(file: Path) -> str:
    assert flush_logs()
    return file.read_text()


def raise_with(text: str) -> None:
    raise ValueError(text)


def test_fields_that_may_hold_anything_are_withheld_and_named(logged: Callable[..., Lines]) -> None:
    lines = logged()
    structlog.get_logger("agentflow").info("run ended", outcome="denied", reason=f"card {CARD}", order="7")
    (line,) = lines()
    assert (line["event"], line["outcome"], line["withheld"]) == ("run ended", "denied", ["order", "reason"])


def test_fields_of_your_own_are_logged_when_you_vouch_for_them(logged: Callable[..., Lines]) -> None:
    lines = logged(fields=["order"])
    structlog.get_logger("agentflow").info("run ended", order="7")
    assert lines()[0]["order"] == "7"


def test_messages_of_other_loggers_are_texts(logged: Callable[..., Lines]) -> None:
    lines = logged()
    logging.getLogger("shop").warning("card %s refused", CARD)
    structlog.get_logger("shop").warning(f"card {CARD} refused")
    assert [(line["event"], line["logger"], line["withheld"]) for line in lines()] == [
        ("a message", "shop", ["event"])
    ] * 2


def test_with_a_redactor_texts_are_logged_through_it(logged: Callable[..., Lines]) -> None:
    lines = logged(texts=Redactor())
    logging.getLogger("shop").warning("card %s refused", CARD)
    structlog.get_logger("agentflow").info("run ended", reason=f"card {CARD}")
    first, second = lines()
    assert (first["event"], second["reason"]) == ("card [card] refused", "card [card]")


def test_an_exception_is_its_type_and_its_place(logged: Callable[..., Lines]) -> None:
    lines = logged()
    try:
        raise_with(CARD)
    except ValueError:
        logging.getLogger("shop").exception("no")
    (line,) = lines()
    assert line["error_type"] == "ValueError"
    assert "test_log_lines.py" in line["where"]
    assert CARD not in json.dumps(line)


@pytest.mark.parametrize("texts", [None, Redactor()], ids=["without texts", "with texts"])
def test_an_exception_text_of_ten_megabytes_makes_a_short_line(
    logged: Callable[..., Lines], tmp_path: Path, texts: Redactor | None
) -> None:
    lines = logged(texts=texts)
    try:
        raise_with("x" * 10_000_000)
    except ValueError:
        logging.getLogger("shop").exception("no")
    assert lines()[0]["error_type"] == "ValueError"
    assert len(written(tmp_path / "log")) < 6_000


def test_a_value_with_control_characters_stays_in_its_line(
    logged: Callable[..., Lines], tmp_path: Path
) -> None:
    lines = logged(log_format="console")
    structlog.get_logger("agentflow").info("run started", agent="a\nroot: \x1b[2J\u202e" + "x" * 1_000)
    assert lines  # written as text
    text = written(tmp_path / "log")
    assert text.count("\n") == 1
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert len(text) < MAX_FIELD + 500


def test_a_text_that_can_not_be_seen_is_written_out_on_a_terminal(
    logged: Callable[..., Lines], tmp_path: Path
) -> None:
    logged(log_format="console", texts=Redactor())
    logging.getLogger("shop").warning("pay 9\u316400\nroot: \x1b[2J\u2028")
    text = written(tmp_path / "log")
    assert "pay 9\\u316400\\nroot: \\u001b[2J\\u2028" in text
    assert text.count("\n") == 1


def test_a_line_names_the_trace_that_it_is_from(logged: Callable[..., Lines]) -> None:
    lines = logged()
    here = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(here)):
        structlog.get_logger("agentflow").info("run ended")
    (line,) = lines()
    assert (line["trace_id"], line["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")


def test_where_the_application_has_its_own_logs_an_error_is_its_type() -> None:
    assert failure(ValueError(CARD)) == {"error_type": "ValueError"}
    log_texts(Redactor())
    assert failure(ValueError(CARD)) == {"error_type": "ValueError", "error": "[card]"}
