from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.harness import CommandLine
from tests.cli.records import a_record, kept

TENANT = "frozen-shop"
NOWHERE = {"TEMPORAL_ADDRESS": "127.0.0.1:1"}


def test_a_freeze_reaches_the_runs_and_is_listed_until_it_ends(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00", "--tenant", TENANT)
    done = agentflow("freeze", "--tenant", TENANT, "--by", "olga", "--reason", "odd payments")
    assert done.exit_code == 0, done.stderr
    frozen, told = done.stdout.strip().splitlines()
    assert frozen == f"tenant:{TENANT} is frozen in default: no write begins any more"
    assert told == f"1 run at work was told; told or not, each write asks the ledger {agentflow.ledger}"
    (held,) = agentflow("freezes", "--json").document["freezes"]
    assert (held["key"], held["by"], held["reason"]) == (f"tenant:{TENANT}", "olga", "odd payments")
    assert agentflow("status", workflow_id, "--json").document["status"]["frozen"] == [f"tenant:{TENANT}"]
    thawed = agentflow(
        "unfreeze", "--tenant", TENANT, "--by", "olga", "--reason", "all well", "--json"
    ).document
    assert (thawed["key"], thawed["changed"], thawed["runs"]) == (f"tenant:{TENANT}", True, 1)
    assert agentflow("freezes").stdout.strip() == "nothing is frozen"
    ended = agentflow("freezes", "--all", "--json").document["freezes"]
    assert (f"tenant:{TENANT}", "all well") in [(stop["key"], stop.get("ended_reason")) for stop in ended]


def test_that_no_run_was_told_is_neither_an_all_clear_nor_a_failure(agentflow: CommandLine) -> None:
    for said in ("", ", as it was before"):
        answer = agentflow("freeze", "--agent", "Nobody", "--by", "olga")
        assert answer.exit_code == 0
        frozen, told = answer.stdout.strip().splitlines()
        assert frozen == f"agent:Nobody is frozen in default{said}: no write begins any more"
        assert told.startswith("no run at work was told; told or not, each write asks the ledger")
    for said in ("", ", as it was before"):
        answer = agentflow("unfreeze", "--agent", "Nobody", "--by", "olga")
        assert answer.stdout.splitlines()[0] == f"agent:Nobody is not frozen in default{said}"


def test_a_freeze_holds_though_temporal_is_out_of_reach(beside: CommandLine) -> None:
    assert beside("ledger", "migrate").exit_code == 0
    answer = beside("freeze", "--fleet", "--by", "olga", "--json", **NOWHERE)
    assert answer.exit_code == 0
    assert (answer.document["changed"], answer.document["runs"]) == (True, 0)
    assert "can't reach Temporal" in answer.document["problems"][0]
    assert "finds out at its next write" in answer.stderr
    assert [held["key"] for held in beside("freezes", "--json").document["freezes"]] == ["fleet"]


def test_a_freeze_holds_in_the_namespace_that_is_named(beside: CommandLine) -> None:
    beside("ledger", "migrate")
    answer = beside("--namespace", "prod", "freeze", "--fleet", "--by", "olga", "--json", **NOWHERE)
    assert answer.document["namespace"] == "prod"
    assert beside("freezes").stdout.strip() == "nothing is frozen"
    assert beside("--namespace", "prod", "freezes", "--json").document["freezes"]


async def test_what_may_still_have_its_effect_is_listed_and_is_another_exit(beside: CommandLine) -> None:
    hour = timedelta(hours=1)
    ours = a_record(lease=hour, agent="Cashier", tenant=TENANT)
    others = a_record(lease=hour, agent="Cashier", tenant="sunny")
    whose = a_record(lease=hour)
    await kept(beside.ledger, ours, others, whose, a_record(agent="Cashier", tenant=TENANT))
    answer = beside("freeze", "--tenant", TENANT, "--by", "olga", "--wait", "1s", "--json", **NOWHERE)
    assert answer.exit_code == 5
    listed = {(write["key"], write["state"]) for write in answer.document["writes"]}
    assert listed == {(ours.key, "under way"), (whose.key, "under way")}
    assert all(write["until"] for write in answer.document["writes"])
    assert "may still have its effect" in answer.stderr
    people = beside("freeze", "--tenant", TENANT, "--by", "olga", "--wait", "1s", **NOWHERE)
    assert people.exit_code == 5
    assert ours.key in people.stdout


def test_without_a_ledger_nothing_is_frozen_and_that_is_said(beside: CommandLine) -> None:
    for command in ("freeze", "unfreeze"):
        answer = beside(command, "--fleet", "--by", "olga")
        assert answer.exit_code == 4
        assert "there is no effect ledger" in answer.stderr
    assert beside("freezes").exit_code == 4


def test_a_ledger_that_can_not_be_used_is_no_freeze(beside: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("no database, and long enough to be seen for what it is " * 10)
    answer = beside("freeze", "--fleet", "--by", "olga")
    assert answer.exit_code == 3
    assert "can't be used" in answer.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "one of --fleet"),
        (("--fleet", "--tenant", "x"), "one of --fleet"),
        (("--tenant", "bad name"), "name"),
        (("--agent", ""), "is empty"),
    ],
)
def test_what_to_freeze_must_be_said_well(agentflow: CommandLine, options: tuple[str, ...], why: str) -> None:
    answer = agentflow("freeze", *options, "--by", "olga", "--json")
    assert answer.exit_code == 2
    assert why in answer.error if answer.stdout else why in answer.stderr
