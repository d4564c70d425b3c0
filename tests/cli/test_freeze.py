import pytest

from tests.cli.harness import CommandLine, eventually

TENANT = "frozen-shop"


def test_a_freeze_reaches_the_runs_and_is_listed_until_it_ends(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("pay 1.00", "--tenant", TENANT)
    done = agentflow("freeze", "--tenant", TENANT, "--by", "olga", "--reason", "odd payments")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == f"tenant:{TENANT} is frozen; 1 run was told"
    (held,) = eventually(lambda: agentflow("freezes", "--json").document["freezes"])
    assert (held["key"], held["by"], held["reason"]) == (f"tenant:{TENANT}", "olga", "odd payments")
    assert agentflow("status", workflow_id, "--json").document["status"]["frozen"] == [f"tenant:{TENANT}"]
    thawed = agentflow("unfreeze", "--tenant", TENANT, "--by", "olga", "--json").document
    assert (thawed["key"], thawed["changed"], thawed["runs"]) == (f"tenant:{TENANT}", True, 1)
    eventually(lambda: agentflow("freezes").stdout.strip() == "nothing is frozen")


def test_what_was_frozen_before_is_said(agentflow: CommandLine) -> None:
    for said in ("is frozen", "is frozen, as it was before"):
        answer = agentflow("freeze", "--agent", "Nobody", "--by", "olga")
        assert answer.stdout.strip() == f"agent:Nobody {said}; 0 runs were told"
    for said in ("is not frozen", "is not frozen, as it was before"):
        answer = agentflow("unfreeze", "--agent", "Nobody", "--by", "olga")
        assert answer.stdout.strip() == f"agent:Nobody {said}; 0 runs were told"


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
