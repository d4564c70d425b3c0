"""``agentflow ledger list``, ``show`` and ``migrate``: looking at what writes came to."""

import json
import os
import re
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentflow.adapters.seal_keys import load_seal_keys, save_new_seal_keys
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.cli.connection import Connection
from agentflow.cli.ledger_place import shown_url
from agentflow.cli.ledger_view import Place
from agentflow.contracts.purges import Purge
from agentflow.contracts.tools import ToolResult
from agentflow.core.record_seals import sealed
from tests.cli.harness import ROOT, CommandLine
from tests.cli.records import DONE, HOSTILE, a_record, kept

LIVE = timedelta(hours=2)


def keys(agentflow: CommandLine, *options: str) -> set[str]:
    return {effect["key"] for effect in agentflow("ledger", "list", "--json", *options).document["effects"]}


async def test_the_open_records_are_listed(beside: CommandLine) -> None:
    abandoned, under_way, unknown = a_record(), a_record(lease=LIVE), a_record(state="unknown")
    ended = a_record(**DONE)
    given_up = a_record(state="unknown", closed_by="ann")
    await kept(beside.ledger, abandoned, under_way, unknown, ended, given_up)
    listed = beside("ledger", "list", "--json").document["effects"]
    assert {effect["key"]: effect["standing"] for effect in listed} == {
        abandoned.key: "abandoned",
        under_way.key: "under way",
        unknown.key: "unknown",
    }


async def test_all_lists_those_that_ended_too(beside: CommandLine) -> None:
    records = [
        a_record(),
        a_record(**DONE),
        a_record(state="failed"),
        a_record(state="unknown", closed_by="ann"),
    ]
    await kept(beside.ledger, *records)
    assert keys(beside, "--all") == {record.key for record in records}


async def test_a_state_lists_what_is_in_it_open_or_not(beside: CommandLine) -> None:
    closed, unknown = a_record(state="unknown", closed_by="ann"), a_record(state="unknown")
    await kept(beside.ledger, closed, unknown, a_record())
    assert keys(beside, "--state", "unknown") == {closed.key, unknown.key}


async def test_a_filter_leaves_out_what_does_not_fit(beside: CommandLine) -> None:
    one, other = a_record(workflow_id="one"), a_record(tool="refund")
    await kept(beside.ledger, one, other)
    assert keys(beside, "--workflow-id", "one") == {one.key}
    assert keys(beside, "--tool", "refund") == {other.key}


async def test_cursors_are_followed_to_the_last_page(beside: CommandLine) -> None:
    records = [a_record() for _ in range(1_050)]
    await kept(beside.ledger, *records)
    assert len(keys(beside, "--limit", "2000")) == 1_050


async def test_the_limit_is_kept_and_said(beside: CommandLine) -> None:
    await kept(beside.ledger, *(a_record() for _ in range(3)))
    listed = beside("ledger", "list", "--limit", "2", "--json")
    assert len(listed.document["effects"]) == 2
    assert "--limit is 2" in listed.stderr
    assert "--limit" not in beside("ledger", "list", "--limit", "3", "--json").stderr


async def test_a_row_has_the_full_key_on_its_line_however_long_the_rest(beside: CommandLine) -> None:
    record = a_record(workflow_id="case-" + "x" * 300, attempts=3)
    await kept(beside.ledger, record)
    (row,) = beside("ledger", "list").stdout.splitlines()[1:]
    assert re.fullmatch(rf"abandoned  wire  {record.workflow_id}  call-1  3 +\d+ s  {record.key}", row)


async def test_an_empty_list_says_so(beside: CommandLine) -> None:
    await kept(beside.ledger, a_record(**DONE))
    assert beside("ledger", "list").stdout.strip() == "no open writes"


async def test_hostile_text_has_no_power_in_a_list(beside: CommandLine) -> None:
    await kept(beside.ledger, a_record(workflow_id=HOSTILE))
    shown = beside("ledger", "list").stdout
    assert "[red]1[/red]\\u001b[2J\\u202e\\n9" in shown
    assert len(shown.splitlines()) == 2


async def test_hostile_text_has_no_power_where_a_record_is_shown(beside: CommandLine) -> None:
    result = ToolResult(output=HOSTILE).model_dump_json()
    record = a_record(state="done", detail=HOSTILE, closed_by=HOSTILE, result=result)
    await kept(beside.ledger, record)
    shown = beside("ledger", "show", record.key).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[red]" in shown


async def test_a_record_is_shown_with_every_field(beside: CommandLine) -> None:
    record = a_record(state="done", attempts=7, detail="it was seen", closed_by="ann", result=DONE["result"])
    await kept(beside.ledger, record)
    shown = beside("ledger", "show", record.key).stdout
    for value in record.model_dump(exclude={"lease", "result"}).values():
        assert str(value) in shown


async def test_a_result_is_shown_as_exact_json(beside: CommandLine) -> None:
    output = {"amount": "9.00", "lines": [1, 2.5, None, "ż"]}
    record = a_record(state="done", result=ToolResult(output=output).model_dump_json())
    await kept(beside.ledger, record)
    shown = beside("ledger", "show", record.key).stdout
    assert json.loads(shown[shown.index("{\n") :])["output"] == output


async def test_a_result_that_is_no_json_is_shown_as_it_is(beside: CommandLine) -> None:
    record = a_record(state="done", result='{"broken')
    await kept(beside.ledger, record)
    shown = beside("ledger", "show", record.key)
    assert shown.exit_code == 0
    assert '{"broken' in shown.stdout


@pytest.mark.parametrize(
    ("changes", "meaning"),
    [
        ({}, "wire may or may not have happened: an attempt began it"),
        (
            {"lease": LIVE},
            "may still be carrying wire out; no other acts, and nobody can say, for 1 h 59 min",
        ),
        ({"state": "unknown"}, "nobody can tell but a person"),
        ({"state": "unknown", "closed_by": "ann"}, "ann gave up finding out"),
        (DONE, "wire happened."),
        ({**DONE, "closed_by": "ann"}, "wire happened, says ann."),
        ({"state": "failed", "detail": "no attempt of it began"}, "did not happen: no attempt of it began"),
        ({"state": "failed", "closed_by": "ann"}, "wire did not happen, says ann."),
    ],
)
async def test_what_a_record_means_is_said(
    beside: CommandLine, changes: dict[str, object], meaning: str
) -> None:
    record = a_record(**changes)
    await kept(beside.ledger, record)
    assert meaning in beside("ledger", "show", record.key, "--json").document["meaning"]


async def test_the_command_that_is_shown_closes_the_record(beside: CommandLine) -> None:
    record = a_record(state="unknown")
    await kept(beside.ledger, record)
    option = ["--ledger", str(beside.ledger)]
    commands = beside("ledger", "show", record.key, "--json", *option, AGENTFLOW_LEDGER="").document[
        "commands"
    ]
    words = shlex.split(next(command for command in commands if " did_not_happen " in command))
    closed = beside(*words[1:], "--yes", AGENTFLOW_LEDGER="")
    assert closed.exit_code == 0, closed.stderr
    assert beside("ledger", "show", record.key, "--json").document["state"] == "failed"


def test_a_command_that_is_shown_has_no_password_in_it() -> None:
    place = Place(Connection(), "postgresql://joe:secret@db.example/agentflow")
    assert place.command("show", "KEY") == 'agentflow ledger show KEY --ledger "$AGENTFLOW_LEDGER"'


@pytest.mark.parametrize("changes", [{"lease": LIVE}, DONE, {"state": "unknown", "closed_by": "ann"}])
async def test_no_command_is_shown_for_what_can_not_be_closed(
    beside: CommandLine, changes: dict[str, object]
) -> None:
    record = a_record(**changes)
    await kept(beside.ledger, record)
    assert beside("ledger", "show", record.key, "--json").document["commands"] == []


@pytest.mark.parametrize("key", ["0" * 64, "nonsense", "", "\udcff"])
async def test_an_unknown_key_is_not_found(beside: CommandLine, key: str) -> None:
    await kept(beside.ledger, a_record())
    shown = beside("ledger", "show", key, "--json")
    assert shown.exit_code == 4
    assert "the ledger has no record" in shown.error


@pytest.mark.parametrize(
    "command", [("list",), ("show", "0" * 64), ("resolve", "0" * 64, "abort", "--by", "ann")]
)
def test_a_ledger_that_is_not_there_is_not_made(beside: CommandLine, command: tuple[str, ...]) -> None:
    missing = beside("ledger", *command, "--json")
    assert missing.exit_code == 4
    assert str(beside.ledger) in missing.error
    assert not beside.ledger.exists()


async def test_the_option_overrides_the_environment(beside: CommandLine, tmp_path: Path) -> None:
    record, other = a_record(), tmp_path / "other.sqlite"
    await kept(other, record)
    assert keys(beside, "--ledger", str(other)) == {record.key}


async def test_without_option_and_environment_the_projects_own_is_taken(
    beside: CommandLine, tmp_path: Path
) -> None:
    record = a_record()
    await kept(tmp_path / ".agentflow" / "ledger.sqlite", record)
    listed = beside.process("ledger", "list", "--json", cwd=tmp_path, AGENTFLOW_LEDGER="")
    assert [effect["key"] for effect in listed.document["effects"]] == [record.key]


async def test_a_ledger_may_be_given_as_a_sqlite_url(beside: CommandLine) -> None:
    record = a_record()
    await kept(beside.ledger, record)
    assert keys(beside, "--ledger", f"sqlite:///{beside.ledger}") == {record.key}


@pytest.mark.parametrize("url", ["mysql://localhost/ledger", "http://example.com", "://"])
def test_an_unknown_kind_of_ledger_is_a_usage_error(beside: CommandLine, url: str) -> None:
    assert beside("ledger", "list", "--ledger", url, "--json").exit_code == 2


def test_a_file_that_is_no_ledger_can_not_be_used(beside: CommandLine) -> None:
    beside.ledger.write_text("a text, and a long one: SQLite looks at the first hundred bytes " * 10)
    failed = beside("ledger", "list", "--json")
    assert failed.exit_code == 3
    assert failed.document["error"]["code"] == "unreachable"
    assert str(beside.ledger) in failed.error


def test_a_folder_is_no_ledger(beside: CommandLine, tmp_path: Path) -> None:
    assert beside("ledger", "list", "--ledger", str(tmp_path)).exit_code == 3


def test_a_database_server_that_is_not_there_is_one_line(beside: CommandLine) -> None:
    pytest.importorskip("psycopg")
    failed = beside.process("ledger", "list", "--ledger", "postgresql://joe:secret@127.0.0.1:1/agentflow")
    assert failed.exit_code == 3
    assert failed.stdout == ""
    assert "127.0.0.1" in failed.stderr
    assert "secret" not in failed.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ledger.sqlite", "ledger.sqlite"),
        ("sqlite:////var/ledger.sqlite", "sqlite:////var/ledger.sqlite"),
        ("postgresql://joe@host/db", "postgresql://joe@host/db"),
        ("postgresql://joe:secret@host:5432/db", "postgresql://joe:***@host:5432/db"),
        ("postgresql://joe:se@cret:x@host/db", "postgresql://joe:***@host/db"),
        (
            "postgresql://host/db?user=joe&password=secret&x=1",
            "postgresql://host/db?user=joe&password=***&x=1",
        ),
        ("dynamodb://table?region=eu-west-1", "dynamodb://table?region=eu-west-1"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others than root may enter; a test's own folder is none."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def nobody() -> Iterator[None]:
    """Root may write everything, so somebody else tries."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_ledger_that_may_only_be_read_is_named_with_the_cause(
    beside: CommandLine, open_folder: Path
) -> None:
    read_only = replace(beside, ledger=open_folder / "ledger.sqlite")
    read_only("ledger", "migrate")
    read_only.ledger.chmod(0o444)
    open_folder.chmod(0o555)
    with nobody():
        failed = read_only("ledger", "list", "--json")
    assert failed.exit_code == 3
    assert str(read_only.ledger) in failed.error


FORGOTTEN = Purge(
    at=datetime(2026, 11, 30, 1, 2, 3, tzinfo=UTC),
    by="4711@host",
    namespace="default",
    before=datetime(2025, 10, 26, 1, 2, 3, tzinfo=UTC),
    forgotten=3,
    kept=1,
)


async def test_what_was_forgotten_and_refused_is_listed_the_newest_first(beside: CommandLine) -> None:
    store = SQLiteLedger(beside.ledger)
    refused = FORGOTTEN.model_copy(update={"forgotten": 0, "refused": f"the clocks differ {HOSTILE}"})
    for purge in (FORGOTTEN, refused):
        await store.keep_purge(purge)
    await store.close()
    told = beside("ledger", "purges", "--json").document["purges"]
    assert [(each["forgotten"], each["refused"]) for each in told] == [(0, refused.refused), (3, "")]
    assert told[1]["before"] == "2025-10-26T01:02:03Z"
    shown = beside("ledger", "purges", "--limit", "1").stdout
    assert "the clocks differ" in shown
    assert "\x1b" not in shown
    assert len(shown.strip().splitlines()) == 2


async def test_a_ledger_that_forgot_nothing_says_so(beside: CommandLine) -> None:
    await kept(beside.ledger)
    beside("ledger", "migrate")
    assert "nothing was forgotten" in beside("ledger", "purges").stdout


def test_migrate_sets_the_ledger_up(beside: CommandLine) -> None:
    done = beside("ledger", "migrate", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.document == {"ledger": str(beside.ledger), "did": [f"made {beside.ledger}"]}
    assert beside("ledger", "list").exit_code == 0


def test_migrate_a_second_time_changes_nothing(beside: CommandLine) -> None:
    beside("ledger", "migrate")
    again = beside("ledger", "migrate", "--json")
    assert again.exit_code == 0
    assert again.document["did"] == []


async def test_a_ledger_of_a_newer_version_is_a_usage_error(beside: CommandLine) -> None:
    await kept(beside.ledger, a_record())
    with sqlite3.connect(beside.ledger) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    refused = beside("ledger", "list", "--json")
    assert refused.exit_code == 2
    assert "upgrade" in refused.error


def test_the_help_names_the_commands(beside: CommandLine) -> None:
    shown = beside.process("ledger", "--help", cwd=ROOT).stdout
    for command in ("list", "show", "resolve", "purges", "migrate"):
        assert command in shown


# Who wrote a record, for who has the workers' keys.


@pytest.fixture
def seals(tmp_path: Path) -> Path:
    path = tmp_path / "seal-keys.json"
    save_new_seal_keys(path)
    return path


async def test_with_the_workers_keys_a_record_that_no_worker_wrote_is_told(
    beside: CommandLine, seals: Path
) -> None:
    ours, forged = sealed(a_record(), 1, load_seal_keys(seals)), a_record()
    await kept(beside.ledger, ours, forged)
    listed = beside("ledger", "list", "--json", "--seals", str(seals))
    genuine = {effect["key"]: effect["genuine"] for effect in listed.document["effects"]}
    assert genuine == {ours.key: True, forged.key: False}
    assert (
        f"1 of them no worker of this fleet wrote, and runs do not act on them: {forged.key}" in listed.stderr
    )
    shown = beside("ledger", "show", forged.key, AGENTFLOW_SEALS=str(seals)).stdout
    assert "no worker of this fleet" in shown


async def test_without_the_workers_keys_nobody_is_told_who_wrote_a_record(beside: CommandLine) -> None:
    record = a_record()
    await kept(beside.ledger, record)
    assert beside("ledger", "show", record.key, "--json").document["genuine"] is None
    assert "--seals FILE" in beside("ledger", "show", record.key).stdout


async def test_keys_that_can_not_be_read_are_told(beside: CommandLine) -> None:
    await kept(beside.ledger, a_record())
    refused = beside("ledger", "list", "--json", "--seals", "/no/such/file")
    assert refused.exit_code != 0
    assert "the keys for seals can't be read" in refused.error
