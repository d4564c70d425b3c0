"""``agentflow ledger resolve``: a person says what became of a write in doubt."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.seal_keys import save_new_seal_keys
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.cli.exits import CommandFailed
from agentflow.cli.ledger_resolve import close_directly, word_of
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.tools import ToolResult
from agentflow.core.record_seals import is_sealed, sealed
from tests.cli.harness import Answer, CommandLine
from tests.cli.records import DONE, a_record, kept, record_in

NOWHERE = "127.0.0.1:1"


def resolve(agentflow: CommandLine, key: str, *words: str, by: str = "ann", **env: str) -> Answer:
    return agentflow("ledger", "resolve", "--yes", key, *words, "--by", by, "--json", **env)


def key_in_doubt(agentflow: CommandLine, workflow_id: str) -> str:
    """The key that a run waits for a person to tell about."""
    return agentflow("status", workflow_id, "--json").document["status"]["escalation"]["effect"]["key"]


async def in_doubt(ledger: Path, **changes: Any) -> EffectRecord:
    record = a_record(**{"state": "unknown", "detail": "the bank did not answer", **changes})
    await kept(ledger, record)
    return record


# A run that waits for it is told, and its worker closes the record.


def test_what_happened_reaches_the_run_that_waits_for_it(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    key = key_in_doubt(agentflow, workflow_id)
    closed = resolve(agentflow, key, "happened", "--result", '"wired 9.00"')
    assert closed.exit_code == 0, closed.stderr
    assert (closed.document["key"], closed.document["state"], closed.document["closed_by"]) == (
        key,
        "done",
        "ann",
    )
    (call,) = agentflow.outcome(workflow_id)["tool_calls"]
    assert (call["effect"], "error" in call) == ("done", False)


def test_what_did_not_happen_reaches_the_run_that_waits_for_it(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    key = key_in_doubt(agentflow, workflow_id)
    closed = resolve(agentflow, key, "did_not_happen", "--text", "asked the bank")
    assert closed.exit_code == 0, closed.stderr
    assert (closed.document["state"], closed.document["closed_by"]) == ("failed", "ann")
    (call,) = agentflow.outcome(workflow_id)["tool_calls"]
    assert call["effect"] == "failed"
    assert "it did not happen, says ann: asked the bank" in call["error"]


def test_an_abort_ends_the_run_that_waits_for_it(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    closed = resolve(agentflow, key_in_doubt(agentflow, workflow_id), "abort")
    assert closed.exit_code == 0, closed.stderr
    assert (closed.document["state"], closed.document["standing"]) == ("unknown", "given up")
    outcome = agentflow.outcome(workflow_id)
    assert (outcome["status"], outcome["tool_calls"][0]["effect"]) == ("escalated", "unknown")


def test_a_result_that_does_not_fit_the_tool_closes_nothing(agentflow: CommandLine) -> None:
    key = key_in_doubt(agentflow, agentflow.waiting("wire 9.00"))
    refused = resolve(agentflow, key, "happened", "--result", "7")
    assert refused.exit_code == 1
    assert "the result does not fit the tool's output" in refused.error
    assert agentflow("ledger", "show", key, "--json").document["standing"] == "unknown"


def test_a_record_can_be_closed_only_once(agentflow: CommandLine) -> None:
    key = key_in_doubt(agentflow, agentflow.waiting("wire 9.00"))
    assert resolve(agentflow, key, "did_not_happen").exit_code == 0
    again = resolve(agentflow, key, "happened", "--result", '"x"', by="bob")
    assert again.exit_code == 1
    assert "wire did not happen, says ann" in again.error


# A run that is closed, or was never known, leaves the record to people.


async def test_the_record_of_a_terminated_run_is_closed_directly(
    agentflow: CommandLine, temporal: WorkflowEnvironment
) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    key = key_in_doubt(agentflow, workflow_id)
    await temporal.client.get_workflow_handle(workflow_id).terminate()
    closed = resolve(agentflow, key, "happened", "--result", '"wired 9.00"', "--text", "seen at the bank")
    assert closed.exit_code == 0, closed.stderr
    assert (closed.document["state"], closed.document["closed_by"]) == ("done", "ann")
    assert "happened, says ann: seen at the bank" in closed.document["detail"]
    assert f"{workflow_id} is not open in default" in closed.stderr


async def test_the_result_that_is_told_is_recorded_as_the_tools_output(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    output = {"id": "re_1", "amounts": ["9.00", 1, None]}
    assert resolve(beside, record.key, "happened", "--result", json.dumps(output)).exit_code == 0
    after = await record_in(beside.ledger, record.key)
    assert ToolResult.model_validate_json(after.result or "") == ToolResult(output=output)


async def test_a_result_is_read_from_a_file(beside: CommandLine, tmp_path: Path) -> None:
    record = await in_doubt(beside.ledger)
    (tmp_path / "result.json").write_text('{"id": "re_1"}')
    assert resolve(beside, record.key, "happened", "--result", f"@{tmp_path}/result.json").exit_code == 0
    after = await record_in(beside.ledger, record.key)
    assert ToolResult.model_validate_json(after.result or "").output == {"id": "re_1"}


async def test_a_result_is_read_from_standard_input(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    words = ("ledger", "resolve", record.key, "happened", "--result", "-", "--by", "ann", "--yes")
    assert beside(*words, input="[1]").exit_code == 0
    after = await record_in(beside.ledger, record.key)
    assert ToolResult.model_validate_json(after.result or "").output == [1]


async def test_what_did_not_happen_is_recorded_with_who_says_so(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    assert resolve(beside, record.key, "did_not_happen", "--text", "asked the bank").exit_code == 0
    after = await record_in(beside.ledger, record.key)
    error = ToolResult.model_validate_json(after.result or "").error
    assert error
    assert (error.kind, error.message) == ("failed", "it did not happen, says ann: asked the bank")


async def test_an_abandoned_intent_can_be_closed(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger, state="intended")
    assert resolve(beside, record.key, "did_not_happen").document["state"] == "failed"


async def test_an_abort_leaves_it_unknown_and_closed(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger, state="intended")
    assert resolve(beside, record.key, "abort").exit_code == 0
    after = await record_in(beside.ledger, record.key)
    assert (after.state, after.closed_by, after.result, after.is_open) == ("unknown", "ann", None, False)


async def test_a_person_reads_what_is_about_to_be_closed(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    refused = beside(
        "ledger", "resolve", "--yes", record.key, "abort", "--by", "ann", TEMPORAL_ADDRESS=NOWHERE
    )
    assert refused.exit_code == 3
    for known in (record.key, record.workflow_id, "the bank did not answer"):
        assert known in refused.stdout


async def test_what_is_about_to_be_closed_is_no_part_of_the_document(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    closed = resolve(beside, record.key, "abort")
    assert closed.document["standing"] == "given up"
    assert "the bank did not answer" in closed.stderr


async def test_a_person_reads_what_the_record_is_now(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    shown = beside("ledger", "resolve", "--yes", record.key, "did_not_happen", "--by", "ann").stdout
    assert "wire did not happen, says ann." in shown


# What can't be closed, and why.


async def test_a_run_that_is_open_and_does_not_wait_for_it_is_left_alone(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00")
    record = await in_doubt(agentflow.ledger, workflow_id=workflow_id)
    refused = resolve(agentflow, record.key, "abort")
    assert refused.exit_code == 1
    assert (
        f"{workflow_id} is open, and not waiting for a word on this: it is waiting for approval"
        in refused.error
    )
    assert await record_in(agentflow.ledger, record.key) == record


async def test_a_run_that_waits_for_a_word_on_another_write_is_left_alone(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    record = await in_doubt(agentflow.ledger, workflow_id=workflow_id)
    refused = resolve(agentflow, record.key, "abort")
    assert refused.exit_code == 1
    assert "escalated, turn 1 (wire may or may not have happened" in refused.error
    assert agentflow("status", workflow_id, "--json").document["status"]["state"] == "escalated"


async def test_a_run_whose_worker_is_gone_is_left_alone_even_offline(agentflow: CommandLine) -> None:
    workflow_id = agentflow.start("pay 1.00", task_queue="nobody-listens")
    record = await in_doubt(agentflow.ledger, workflow_id=workflow_id)
    refused = resolve(agentflow, record.key, "abort", "--offline")
    assert refused.exit_code == 3
    assert f"{workflow_id} is open, and no worker answered" in refused.error
    assert await record_in(agentflow.ledger, record.key) == record


async def test_without_temporal_nothing_is_closed(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    refused = resolve(beside, record.key, "abort", TEMPORAL_ADDRESS=NOWHERE)
    assert refused.exit_code == 3
    assert "can't reach Temporal" in refused.error
    assert "--offline" in refused.error
    assert await record_in(beside.ledger, record.key) == record


async def test_without_temporal_it_is_closed_if_that_is_asked_for(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    closed = resolve(beside, record.key, "abort", "--offline", TEMPORAL_ADDRESS=NOWHERE)
    assert closed.exit_code == 0, closed.stderr
    assert closed.document["closed_by"] == "ann"
    assert "without asking the run" in closed.stderr


async def test_a_namespace_that_this_temporal_does_not_have_says_nothing_of_the_run(
    beside: CommandLine,
) -> None:
    record = await in_doubt(beside.ledger, namespace="elsewhere")
    refused = resolve(beside, record.key, "abort")
    assert refused.exit_code == 3
    assert "no namespace elsewhere" in refused.error
    assert (await record_in(beside.ledger, record.key)).is_open


async def test_the_records_own_namespace_is_asked(agentflow: CommandLine) -> None:
    key = key_in_doubt(agentflow, agentflow.waiting("wire 9.00"))
    done = agentflow(
        "--namespace", "other", "ledger", "resolve", "--yes", key, "abort", "--by", "ann", "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert "is not open" not in done.stderr


async def test_an_attempt_that_may_be_at_it_is_waited_for(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger, state="intended", lease=timedelta(hours=2))
    refused = resolve(beside, record.key, "abort")
    assert refused.exit_code == 1
    assert "for 1 h 59 min" in refused.error
    assert await record_in(beside.ledger, record.key) == record


def date_ahead(ledger: Path) -> None:
    """As if its clock had been 400 days ahead when the records were written."""
    ahead = timedelta(days=400) // timedelta(microseconds=1)
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute(
            f"UPDATE agentflow_effects SET written_at_us = written_at_us + {ahead}, written_up_us = NULL"
        )


async def test_a_record_that_is_dated_ahead_can_be_closed_after_it_was_watched_for_its_lease(
    beside: CommandLine,
) -> None:
    record = await in_doubt(beside.ledger, state="intended", lease=timedelta(milliseconds=50))
    date_ahead(beside.ledger)
    done = resolve(beside, record.key, "did_not_happen")
    assert done.exit_code == 0, done.stderr
    assert done.document["state"] == "failed"


async def test_a_record_that_is_dated_ahead_and_has_a_long_lease_is_not_watched(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger, state="intended", lease=timedelta(hours=2))
    date_ahead(beside.ledger)
    assert resolve(beside, record.key, "abort").exit_code == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (DONE, "wire happened."),
        ({**DONE, "closed_by": "bob"}, "wire happened, says bob."),
        ({"state": "failed", "closed_by": "bob"}, "wire did not happen, says bob."),
        ({"state": "unknown", "closed_by": "bob"}, "bob gave up finding out"),
    ],
)
async def test_what_is_not_in_doubt_is_refused_and_shown(
    beside: CommandLine, changes: dict[str, Any], said: str
) -> None:
    record = await in_doubt(beside.ledger, **changes)
    refused = resolve(beside, record.key, "abort")
    assert refused.exit_code == 1
    assert said in refused.error
    assert await record_in(beside.ledger, record.key) == record


async def test_whoever_is_slower_is_told_what_the_record_says_by_now(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger)
    ledger = SQLiteLedger(beside.ledger)
    seen = await ledger.get(record.key)
    assert seen
    await close_directly(ledger, seen, word_of("did_not_happen", "bob", "", None))
    with pytest.raises(
        CommandFailed, match=r"has changed meanwhile. wire did not happen, says bob.*nothing was"
    ):
        await close_directly(ledger, seen, word_of("abort", "ann", "", None))
    await ledger.close()


# Bad input: nothing is looked up before the words make sense.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["happened"], "--result"),
        (["abort", "--result", "1"], "--result"),
        (["did_not_happen", "--result", "1"], "--result"),
        (["happened", "--result", "re_1"], "isn't JSON"),
        (["happened", "--result", "NaN"], "isn't JSON"),
        (["happened", "--result", "1e400"], "isn't JSON"),
        (["happened", "--result", '"\\ud800"'], "isn't JSON"),
        (["happened", "--result", "[" * 100_000], "isn't JSON"),
        (["happened", "--result", "@/no/such/file"], "/no/such/file"),
        (["happened", "--result", json.dumps("x" * 70_000)], "the limit is 65536"),
        (["abort", "--text", "x" * 2_001], "text"),
        (["abort", "--text", "\udcff"], "text"),
    ],
)
def test_words_that_make_no_sense_are_a_usage_error(beside: CommandLine, words: list[str], said: str) -> None:
    refused = resolve(beside, "0" * 64, *words)
    assert refused.exit_code == 2
    assert said in refused.error


@pytest.mark.parametrize("by", ["", " ", "x" * 201, "\udcff"])
def test_nobody_is_no_one_to_go_by(beside: CommandLine, by: str) -> None:
    assert resolve(beside, "0" * 64, "abort", by=by).exit_code == 2


def test_a_verdict_that_does_not_exist_is_a_usage_error(beside: CommandLine) -> None:
    assert resolve(beside, "0" * 64, "perhaps").exit_code == 2


async def test_an_unknown_key_is_not_found(beside: CommandLine) -> None:
    await in_doubt(beside.ledger)
    assert resolve(beside, "0" * 64, "abort").exit_code == 4


async def test_nul_and_hostile_text_are_kept_readable(beside: CommandLine) -> None:
    record = await in_doubt(beside.ledger, workflow_id=f"x\x1b[2J-{uuid4()}")
    closed = beside(
        "ledger", "resolve", "--yes", record.key, "abort", "--by", "ann", "--text", "[red]\x1b[2J"
    )
    assert closed.exit_code == 0, closed.stderr
    assert "\x1b" not in closed.stdout + closed.stderr
    assert "[red]\\u001b[2J" in closed.stdout


# The workers' seal, where a record is closed without its run.


@pytest.mark.parametrize(
    ("has_keys", "by_a_worker", "is_believed"),
    [(True, True, True), (True, False, False), (False, True, False)],
    ids=["with the keys", "of a record that nobody sealed", "without the keys"],
)
async def test_a_record_that_is_closed_directly_is_sealed_only_by_who_has_the_keys_and_believes_it(
    beside: CommandLine, tmp_path: Path, has_keys: bool, by_a_worker: bool, is_believed: bool
) -> None:
    seals = tmp_path / "seal-keys.json"
    keys = save_new_seal_keys(seals)
    record = a_record(state="unknown")
    await kept(beside.ledger, sealed(record, 1, keys) if by_a_worker else record)
    closed = resolve(beside, record.key, "did_not_happen", *(("--seals", str(seals)) if has_keys else ()))
    assert closed.exit_code == 0, closed.stderr
    assert ("asks a person again" in closed.stderr) is not is_believed
    ledger = SQLiteLedger(beside.ledger)
    after = await ledger.get(record.key)
    await ledger.close()
    assert after is not None
    assert (after.record.state, is_sealed(after, keys)) == ("failed", is_believed)
