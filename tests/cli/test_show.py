"""``agentflow show`` and ``watch``: a run's steps in the terminal."""

import json

from tests.cli.harness import CommandLine


def test_a_run_is_shown_step_by_step_with_its_cost(agentflow: CommandLine) -> None:
    run = agentflow.waiting("pay 1.00")
    agentflow("approve", run, "approval-1", "--by", "ann", "--yes")
    agentflow.outcome(run)
    shown = agentflow("show", run).stdout
    assert f"Cashier {run}: completed" in shown
    for words in ("started Cashier", "model scripted:model", "waits for people pay", "tool pay", "ended"):
        assert words in shown
    assert "rule payments, granted by ann" in shown
    assert "2 model calls, 1 tool calls, $" in shown


def test_json_has_the_steps_and_content_only_where_it_is_asked_for(agentflow: CommandLine) -> None:
    run = agentflow.waiting("pay 1.00")
    steps = agentflow("show", run, "--json").document["steps"]
    assert [step["kind"] for step in steps][-1] == "approval"
    assert not [step for step in steps if step.get("content")]
    with_content = agentflow("show", run, "--content", "--json").document["steps"]
    assert with_content[-1]["content"] == {"order": "1", "amount": "1.00"}


def test_a_run_that_is_not_there_is_not_found(agentflow: CommandLine) -> None:
    assert agentflow("show", "no-such-run").exit_code == 4


def test_watch_tells_each_step_until_the_end(agentflow: CommandLine) -> None:
    run = agentflow.waiting("pay 1.00")
    with agentflow.started("watch", run, "--every", "0.2", "--json") as process:
        assert process.stdout
        first = json.loads(process.stdout.readline())
        agentflow("approve", run, "approval-1", "--by", "ann", "--yes")
        rest = [json.loads(line) for line in process.stdout if line.startswith("{")]
        assert process.wait(timeout=30) == 0
    assert first["kind"] == "started"
    assert (rest[-1]["kind"], rest[-1]["name"]) == ("ended", "completed")
    assert ("tool", "pay") in {(step["kind"], step["name"]) for step in rest}
