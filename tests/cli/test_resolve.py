"""``agentflow resolve``: a person takes over."""

import pytest

from tests.cli.harness import CommandLine, eventually


def test_guidance_lets_the_run_go_on(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    done = agentflow("resolve", "--yes", workflow_id, "guide", "--by", "ann", "--text", "be brief", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.document["accepted"] is True
    assert agentflow.outcome(workflow_id)["status"] == "completed"


def test_an_answer_takes_the_models_place(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    done = agentflow(
        "resolve", "--yes", workflow_id, "answer", "--by", "ann", "--answer", '{"amount": "5.00"}'
    )
    assert done.exit_code == 0, done.stderr
    assert agentflow.outcome(workflow_id)["output"] == {"amount": "5.00"}


def test_an_abort_ends_the_run_as_escalated(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    assert (
        agentflow("resolve", "--yes", workflow_id, "abort", "--by", "ann", "--text", "by hand").exit_code == 0
    )
    outcome = agentflow.outcome(workflow_id)
    assert outcome["status"] == "escalated"
    assert "aborted by ann: by hand" in outcome["reason"]


def test_an_answer_that_does_not_fit_exits_1_with_the_reason(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    refused = agentflow("resolve", "--yes", workflow_id, "answer", "--by", "ann", "--answer", "7", "--json")
    assert refused.exit_code == 1
    assert "the answer does not fit" in refused.error


def test_guidance_without_a_text_exits_1(agentflow: CommandLine) -> None:
    refused = agentflow("resolve", "--yes", agentflow.waiting("stuck"), "guide", "--by", "ann", "--json")
    assert refused.exit_code == 1
    assert refused.error == "guide needs a text"


def test_a_refusal_counts_again_when_it_is_repeated(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    for _ in range(2):
        assert (
            agentflow("resolve", "--yes", workflow_id, "guide", "--by", "ann", "--json").error
            == "guide needs a text"
        )


def test_a_run_that_is_not_escalated_is_left_alone(agentflow: CommandLine) -> None:
    refused = agentflow("resolve", "--yes", agentflow.waiting("pay 1.00"), "abort", "--by", "ann", "--json")
    assert refused.exit_code == 1
    assert "nothing is escalated" in refused.error


def test_an_answer_without_answer_is_a_usage_error(agentflow: CommandLine) -> None:
    refused = agentflow("resolve", "--yes", "any", "answer", "--by", "ann", "--json")
    assert refused.exit_code == 2
    assert "--answer" in refused.error


def test_an_action_that_does_not_exist_is_a_usage_error(agentflow: CommandLine) -> None:
    assert agentflow("resolve", "--yes", "any", "ignore", "--by", "ann").exit_code == 2


def test_an_unknown_run_is_not_found(agentflow: CommandLine) -> None:
    assert agentflow("resolve", "--yes", "no-such-run", "abort", "--by", "ann").exit_code == 4


def test_a_write_that_happened_goes_on_with_its_result(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    done = agentflow(
        "resolve", "--yes", workflow_id, "happened", "--by", "ann", "--result", '"wired"', "--json"
    )
    assert done.exit_code == 0, done.stderr
    outcome = agentflow.outcome(workflow_id)
    assert (outcome["status"], outcome["tool_calls"][0]["effect"]) == ("completed", "done")


def test_a_write_that_did_not_happen_is_told_to_the_model(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    done = agentflow(
        "resolve", "--yes", workflow_id, "did_not_happen", "--by", "ann", "--text", "asked the bank"
    )
    assert done.exit_code == 0, done.stderr
    (call,) = agentflow.outcome(workflow_id)["tool_calls"]
    assert "it did not happen, says ann: asked the bank" in call["error"]


def test_the_run_that_is_answered_has_its_record_closed(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    agentflow("resolve", "--yes", workflow_id, "did_not_happen", "--by", "ann")
    agentflow.outcome(workflow_id)
    (effect,) = agentflow("ledger", "list", "--all", "--workflow-id", workflow_id, "--json").document[
        "effects"
    ]
    assert (effect["state"], effect["closed_by"]) == ("failed", "ann")


def test_a_write_in_doubt_takes_no_guidance(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    refused = agentflow(
        "resolve", "--yes", workflow_id, "guide", "--by", "ann", "--text", "try again", "--json"
    )
    assert refused.exit_code == 1
    assert "a write is in doubt" in refused.error


def test_nothing_happened_where_no_write_is_in_doubt(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    refused = agentflow("resolve", "--yes", workflow_id, "happened", "--by", "ann", "--result", "1", "--json")
    assert refused.exit_code == 1
    assert "no write is in doubt" in refused.error


@pytest.mark.parametrize(
    "words",
    [
        ["happened"],
        ["did_not_happen", "--result", "1"],
        ["abort", "--result", "1"],
        ["guide", "--text", "x", "--result", "1"],
        ["happened", "--result", "wired"],
    ],
)
def test_a_result_is_given_as_json_with_happened_and_only_there(
    agentflow: CommandLine, words: list[str]
) -> None:
    refused = agentflow("resolve", "--yes", "any", *words, "--by", "ann", "--json")
    assert refused.exit_code == 2
    assert "--result" in refused.error


@pytest.mark.parametrize("by", ["", "  "])
def test_a_resolution_says_who_it_is_by(agentflow: CommandLine, by: str) -> None:
    assert agentflow("resolve", "--yes", "any", "abort", "--by", by).exit_code == 2


@pytest.mark.parametrize("word", [["did_not_happen"], ["happened", "--result", '"wired"']])
def test_whoever_asked_for_the_run_does_not_say_what_became_of_its_wire(
    agentflow: CommandLine, word: list[str]
) -> None:
    workflow_id = agentflow.waiting("wire 9.00")
    refused = agentflow("resolve", "--yes", workflow_id, *word, "--by", "Joe", "--json")
    assert refused.exit_code == 1
    assert "joe asked for this run and may only abort it" in refused.error
    assert "1 so far; the last by Joe" in agentflow("status", workflow_id).stdout.replace("\n", " ")
    assert agentflow("resolve", "--yes", workflow_id, "abort", "--by", "joe").exit_code == 0


def test_a_wire_that_two_people_approved_needs_both_roles_and_both_words(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("wire 2000.00")
    for name in ("ann", "bob"):
        said = agentflow("approve", workflow_id, "approval-1", "--by", name, "--role", "finance", "--yes")
        assert said.exit_code == 0, said.stderr
    eventually(lambda: agentflow("status", workflow_id, "--json").document["status"]["escalation"])
    without = agentflow("resolve", "--yes", workflow_id, "did_not_happen", "--by", "ann", "--json")
    assert "none of the roles finance" in without.error
    word = ["did_not_happen", "--role", "finance", "--json"]
    first = agentflow("resolve", "--yes", workflow_id, *word, "--by", " ann ")
    assert first.exit_code == 0, first.stderr
    assert "1 more must say the same" in first.document["detail"]
    assert "ann: did_not_happen" in agentflow("status", workflow_id).stdout
    again = agentflow("resolve", "--yes", workflow_id, *word, "--by", "ann")
    assert "has said so already" in again.error
    assert agentflow("resolve", "--yes", workflow_id, *word, "--by", "bob").exit_code == 0
    (wired,) = agentflow.outcome(workflow_id)["tool_calls"]
    assert (wired["effect"], wired["error"]) == ("failed", "failed: it did not happen, says ann and bob")
