"""``agentflow resolve``: a person takes over."""

from tests.cli.harness import CommandLine


def test_guidance_lets_the_run_go_on(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    done = agentflow("resolve", workflow_id, "guide", "--by", "ann", "--text", "be brief", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.document["accepted"] is True
    assert agentflow.outcome(workflow_id)["status"] == "completed"


def test_an_answer_takes_the_models_place(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    done = agentflow("resolve", workflow_id, "answer", "--by", "ann", "--answer", '{"amount": "5.00"}')
    assert done.exit_code == 0, done.stderr
    assert agentflow.outcome(workflow_id)["output"] == {"amount": "5.00"}


def test_an_abort_ends_the_run_as_escalated(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    assert agentflow("resolve", workflow_id, "abort", "--by", "ann", "--text", "by hand").exit_code == 0
    outcome = agentflow.outcome(workflow_id)
    assert outcome["status"] == "escalated"
    assert "aborted by ann: by hand" in outcome["reason"]


def test_an_answer_that_does_not_fit_exits_1_with_the_reason(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    refused = agentflow("resolve", workflow_id, "answer", "--by", "ann", "--answer", "7", "--json")
    assert refused.exit_code == 1
    assert "the answer does not fit" in refused.error


def test_guidance_without_a_text_exits_1(agentflow: CommandLine) -> None:
    refused = agentflow("resolve", agentflow.waiting("stuck"), "guide", "--by", "ann", "--json")
    assert refused.exit_code == 1
    assert refused.error == "guide needs a text"


def test_a_refusal_counts_again_when_it_is_repeated(agentflow: CommandLine) -> None:
    workflow_id = agentflow.waiting("stuck")
    for _ in range(2):
        assert (
            agentflow("resolve", workflow_id, "guide", "--by", "ann", "--json").error == "guide needs a text"
        )


def test_a_run_that_is_not_escalated_is_left_alone(agentflow: CommandLine) -> None:
    refused = agentflow("resolve", agentflow.waiting("pay 1.00"), "abort", "--by", "ann", "--json")
    assert refused.exit_code == 1
    assert "nothing is escalated" in refused.error


def test_an_answer_without_answer_is_a_usage_error(agentflow: CommandLine) -> None:
    refused = agentflow("resolve", "any", "answer", "--by", "ann", "--json")
    assert refused.exit_code == 2
    assert "--answer" in refused.error


def test_an_action_that_does_not_exist_is_a_usage_error(agentflow: CommandLine) -> None:
    assert agentflow("resolve", "any", "ignore", "--by", "ann").exit_code == 2


def test_an_unknown_run_is_not_found(agentflow: CommandLine) -> None:
    assert agentflow("resolve", "no-such-run", "abort", "--by", "ann").exit_code == 4
