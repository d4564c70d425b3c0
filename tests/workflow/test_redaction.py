"""What is marked as personal is seen by models, tools and people who are asked, and nowhere else."""

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import tools_of
from agentflow.adapters.run_timeline import timeline_of
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.names import APPROVALS_MEMO
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import ApprovalId
from agentflow.core.action import Action, Asking, request_for
from agentflow.core.provenance import Provenance
from agentflow.core.why_untrusted import untrusted_values
from agentflow.inbox import Inbox
from agentflow.redaction import Redactor
from agentflow.telemetry.logs import configure_logs, flush_logs
from agentflow.testing import ScriptedModel, answer, call
from agentflow.workflow.redaction import RunRedaction
from tests.workflow.desk import Desk
from tests.workflow.harness import chain, eventually, replayed, serving
from tests.workflow.marked_agents import LongMarked, Marked

EMAIL, NAME, PASSWORD, CARD = "rita@example.org", "Anna Meier", "hunter2!", "4111 1111 1111 1111"
TICKET = {"email": EMAIL, "age": 42, "text": f"I am not {NAME}; my card is {CARD}"}
FIND = call("find", email=EMAIL)
GREET = call("greet", email=EMAIL, age=42, text=f"Hello {NAME}, {CARD}")


pytestmark = pytest.mark.usefixtures("logs_as_they_were")


def desk(temporal: WorkflowEnvironment, directory: Path, script: list[Any], **settings: Any) -> Any:
    tools = settings.pop("tools", Desk())
    return serving(
        temporal,
        ScriptedModel(script),
        directory,
        workflows=[Marked, LongMarked],
        more_tools=tools_of(tools),
        **settings,
    )


async def details(handle: WorkflowHandle[Any, Any]) -> str:
    return (await handle.query("__temporal_workflow_metadata")).current_details


async def seen(handle: WorkflowHandle[Any, Any]) -> str:
    """All that may be seen of a run without asking it."""
    about = await handle.describe()
    memo = await about.memo_value(APPROVALS_MEMO, None)
    return "\n".join([await details(handle), json.dumps(memo), str(about.typed_search_attributes)])


async def test_details_and_memo_hold_nothing_that_is_marked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with desk(temporal, tmp_path, [FIND, GREET, answer("done")]) as bank:
        handle = await bank.start(Marked, TICKET)
        request = await bank.pending(handle)
        found = await seen(handle)
        assert "[email]" in found
        assert "[age]" in found
        assert "[name]" in found
        assert [value for value in (EMAIL, NAME, PASSWORD, '"age": 42', "age 42") if value in found] == []
        # People who are asked see all of it, and what they agree to is what is done.
        assert request.arguments["email"] == EMAIL
        await bank.agents.approve(handle.id, request.id, by="ann")
        assert (await handle.result()).status == "completed"


async def test_nobody_is_handed_a_command_that_approves_what_the_page_does_not_show(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with desk(temporal, tmp_path, [FIND, GREET]) as bank:
        handle = await bank.start(Marked, TICKET)
        await bank.pending(handle)
        page = await details(handle)
        assert "--name approve" not in page
        assert f"agentflow approvals {handle.id}" in page
        await handle.terminate()


async def test_a_timeline_has_the_approval_without_what_is_marked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with desk(temporal, tmp_path, [GREET, answer("done")]) as bank:
        handle = await bank.start(Marked, TICKET)
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        await handle.result()
        found = await timeline_of(bank.client, handle.id)
    (waited,) = [step for step in found.steps if step.kind == "approval"]
    assert (waited.name, waited.state) == ("greet", "done")


async def test_a_list_asks_the_run_for_what_it_may_not_show(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with desk(temporal, tmp_path, [GREET]) as bank:
        handle = await bank.start(Marked, TICKET)
        await bank.pending(handle)

        async def listed() -> dict[str, Any] | None:
            runs = {run.workflow_id: run for run in await Inbox(bank.agents).pending()}
            return runs[handle.id].approvals[0].arguments if handle.id in runs else None

        assert (await eventually(listed))["email"] == EMAIL
        await handle.terminate()


async def test_why_a_run_escalated_is_told_without_what_is_marked(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    tools = Desk()
    tools.failure = RuntimeError(f"no such customer: {EMAIL.upper()}")
    async with desk(temporal, tmp_path, [FIND, answer("done")], tools=tools) as bank:
        handle = await bank.start(Marked, TICKET)
        escalation = await bank.escalation(handle)
        assert EMAIL.upper() in escalation.reason
        found = await details(handle)
        assert "no such customer: \\[email\\]" in found
        assert EMAIL not in found.lower()
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="ann", text="go on"))
        await handle.result()


@pytest.mark.parametrize("redactor", [None, Redactor()], ids=["without", "with"])
async def test_values_that_are_told_by_their_form_are_left_out_with_a_redactor(
    temporal: WorkflowEnvironment, tmp_path: Path, redactor: Redactor | None
) -> None:
    async with desk(temporal, tmp_path, [GREET], redactor=redactor) as bank:
        handle = await bank.start(Marked, TICKET)
        await bank.pending(handle)
        assert (CARD in await details(handle)) == (redactor is None)
        await handle.terminate()


async def test_a_value_is_known_after_the_run_continued_as_new(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with desk(temporal, tmp_path, [FIND, FIND, FIND, GREET, answer("done")]) as bank:
        handle = await bank.start(LongMarked, TICKET)

        async def continued() -> bool | None:
            return len(await chain(handle)) > 1 or None

        await eventually(continued)
        request = await bank.pending(handle)

        async def page() -> str | None:
            # The new execution shows nothing until it has compared its release.
            return await details(handle) or None

        shown = await eventually(page)
        assert "Hello [name]" in shown
        assert NAME not in shown
        await bank.agents.approve(handle.id, request.id, by="ann")
        await handle.result()


async def test_what_is_seen_is_the_same_when_the_run_is_replayed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with desk(temporal, tmp_path, [FIND, GREET, answer("done")], redactor=Redactor()) as bank:
        handle = await bank.start(Marked, TICKET)
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        await handle.result()
        for history in await chain(handle):
            await replayed(history, Marked)


@given(st.text(min_size=4, max_size=40).filter(lambda text: len(text.strip()) >= 4), st.integers())
def test_whatever_is_marked_is_not_in_what_may_be_seen_of_an_action(email: str, age: int) -> None:
    definition: Any = Marked._definition
    redaction = RunRedaction(definition)
    redaction.of_task({"email": email, "age": age, "text": ""})
    arguments = {"email": email, "age": age, "text": f"for {email}!"}
    action = Action("greet", arguments, definition.catalog.contracts["greet"])
    asking = Asking("rule", f"because of {email.upper()}", Quorum(), datetime(2026, 1, 1, tzinfo=UTC))
    untrusted = untrusted_values(Provenance(), action.contract, arguments, [], {})
    request = request_for(
        action,
        asking,
        ApprovalId("a"),
        requested_by="r",
        sources={},
        untrusted=untrusted,
        spent_usd=Decimal(0),
    )
    seen = redaction.request(request)
    assert {one.argument: one.value for one in seen.untrusted if one.value} == {}
    assert [one.argument for one in seen.untrusted] == ["email", "age", "text"]
    assert seen.arguments["email"] == "[email]"
    assert seen.arguments["age"] == "[age]"
    hidden = [seen.arguments["text"], seen.reason, seen.sentence]
    assert [text for text in hidden if email.strip().lower() in text.replace("[email]", "").lower()] == []
    assert seen.arguments_hash == request.arguments_hash


def lines(file: Path) -> list[dict[str, Any]]:
    assert flush_logs()
    return [json.loads(line) for line in file.read_text().splitlines()]


async def failing(temporal: WorkflowEnvironment, directory: Path, text: str) -> None:
    tools = Desk()
    tools.failure = RuntimeError(text)
    async with desk(temporal, directory, [FIND, answer("done")], tools=tools, redactor=Redactor()) as bank:
        handle: WorkflowHandle[Any, Any] = await bank.start(Marked, TICKET)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="abort", by="ann", text=f"for {NAME}"))
        await handle.result()


async def test_no_text_is_logged_unless_it_is_asked_for(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    configure_logs(level=logging.DEBUG, file=tmp_path / "log")
    await failing(temporal, tmp_path, f"broken for {EMAIL}")
    assert flush_logs()
    text = (tmp_path / "log").read_text()
    assert "broken" not in text
    assert EMAIL not in text
    (failed,) = [line for line in lines(tmp_path / "log") if line.get("error_type") == "RuntimeError"]
    assert failed["activity"] == "find"
    assert "desk.py" in failed["where"]
    assert failed["workflow_id"].startswith("Marked-")
    assert {"event", "error"} <= set(failed["withheld"])


async def test_a_text_that_is_asked_for_is_logged_through_the_redactor(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    configure_logs(level=logging.DEBUG, file=tmp_path / "log", texts=Redactor())
    # What the ticket marks turns up in an error of a tool, in capitals and beside a card.
    await failing(temporal, tmp_path, f"broken for {EMAIL.upper()} and {CARD}, aged")
    logged = lines(tmp_path / "log")
    text = json.dumps(logged)
    assert EMAIL not in text.lower()
    assert CARD not in text
    (failed,) = [line for line in logged if line.get("error_type") == "RuntimeError"]
    assert failed["error"].endswith("broken for [email] and [card], aged")
    (escalated,) = [line for line in logged if line["event"] == "escalated"]
    assert "broken for [email]" in escalated["reason"]
