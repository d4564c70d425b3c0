"""``agentflow policy``: no server is needed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentflow.cli.app import app

ROOT = Path(__file__).parents[2]
CASES = ROOT / "workflows" / "support_rules_cases.toml"
RULES = ROOT / "workflows" / "support_rules.py"
HISTORIES = ROOT / "tests" / "replay" / "histories"
AGENT = "workflows.support_refund:SupportRefund"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def policy(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def document(*arguments: str | Path, code: int = 0) -> Any:
    result = policy(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def written(tmp_path: Path, **changes: Any) -> Path:
    case = {"name": "one", "tool": "send_reply", "expect": "allow"} | {
        "arguments": {"to": "ada@example.com", "subject": "Re", "body": "It is on its way to you."},
        "context": {"task_input": {"customer_email": "ada@example.com"}},
    }
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"agent": AGENT, "cases": [case | changes]}))
    return path


def test_the_support_agents_cases_hold_and_cover_every_rule() -> None:
    found = document("test", CASES, "--min-coverage", "100")
    assert all(case["ok"] for case in found["cases"])
    assert (found["coverage_percent"], found["rules_without_a_case"]) == (100, [])
    assert found["rule_sets"][0].startswith("SupportRefund@1.0.0+")


def test_a_case_that_is_decided_otherwise_fails_and_is_explained(tmp_path: Path) -> None:
    result = policy("test", written(tmp_path, expect="deny"))
    assert result.exit_code == 1
    assert "one: expected deny" in result.stdout
    assert "+ allow reply: a reply to the ticket's sender needs nobody" in result.stdout


def test_another_rule_than_the_expected_one_fails_a_case(tmp_path: Path) -> None:
    assert policy("test", written(tmp_path, rule="small_refund")).exit_code == 1
    assert policy("test", written(tmp_path, rule="reply")).exit_code == 0


def test_rules_without_a_case_are_named_and_can_fail(tmp_path: Path) -> None:
    found = document("test", written(tmp_path))
    assert found["coverage_percent"] == 12
    assert "small_refund" in found["rules_without_a_case"]
    assert policy("test", written(tmp_path), "--min-coverage", "50").exit_code == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tool": "drop_tables"}, "there is no tool 'drop_tables'"),
        ({"arguments": {"to": 5}}, "no rule would be asked"),
        ({"expect": "maybe"}, "expect: "),
        ({"expect": None}, "lacks expect"),
        ({"rule": "nonesuch"}, "there is no rule 'nonesuch'; there are order_not_looked_up"),
        ({"context": {"tier": "prod"}}, "context.tier: "),
        ({"context": 5}, "context: "),
        ({"nonsense": 1}, "nonsense: "),
    ],
)
def test_a_case_that_makes_no_sense_is_refused_and_says_where(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    result = policy("test", written(tmp_path, **changes))
    assert result.exit_code == 2, result.output
    assert "case" in result.stderr
    assert why in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.toml", "agent = ", "can't be read as toml"),
        ("a.json", "{", "can't be read as json"),
        ("a.json", '{"agent": "x:y", "cases": []}', "cases: "),
        ("a.json", '{"agent": "nowhere.at_all:Y", "cases": [{}]}', "there is no module nowhere.at_all"),
        (
            "a.json",
            '{"agent": "workflows.support_rules:SUPPORT_RULES", "cases": [{}]}',
            "is no AgentWorkflow",
        ),
        ("a.json", '{"agent": "agentflow:AgentWorkflow", "cases": [{}]}', "is abstract"),
    ],
)
def test_a_file_that_does_not_load_is_refused_and_says_where(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    result = policy("test", path)
    assert result.exit_code == 2, result.output
    assert why in " ".join(result.stderr.split())


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    twice = json.loads(path.read_text())
    twice["cases"] *= 2
    path.write_text(json.dumps(twice))
    assert "case 2: there is a case 'one' already" in " ".join(policy("test", path).stderr.split())


def test_a_decision_is_explained() -> None:
    arguments = json.dumps({"order_id": "ORD-1001", "amount_usd": "5.00", "reason": "broken"})
    found = document("explain", AGENT, "refund_order", "--arguments", arguments)
    assert (found["decision"]["verdict"], found["decision"]["rule"]) == ("deny", "error")
    kinds = {rule["rule"]: rule["kind"] for rule in found["rules"]}
    assert kinds["order_not_looked_up"] == "matched"
    assert kinds["reply"] == "not_for"
    assert kinds["someone_elses_order"] == "failed"


def test_arguments_that_no_rule_would_be_asked_about_are_refused() -> None:
    result = policy("explain", AGENT, "refund_order", "--arguments", "{}")
    assert result.exit_code == 2
    assert "no rule would be asked" in result.stderr


def changed_rules(tmp_path: Path) -> Path:
    path = tmp_path / "support_rules.py"
    path.write_text(
        RULES.read_text().replace("ALONE_UP_TO_USD = Decimal(200)", "ALONE_UP_TO_USD = Decimal(100)")
    )
    return path


def test_decisions_that_a_change_of_rules_changes_are_shown(tmp_path: Path) -> None:
    changed = changed_rules(tmp_path)
    found = document("diff", f"{changed}:SUPPORT_RULES", f"{RULES}:SUPPORT_RULES", "--calls", CASES, code=1)
    assert found["calls"] == 12
    (one,) = found["changed"]
    assert one["name"] == "a small refund of the customer's own order"
    assert (one["before"]["rule"], one["after"]["rule"]) == ("refund_one_person", "small_refund")


def test_rules_that_decide_alike_differ_in_nothing() -> None:
    assert document("diff", f"{RULES}:SUPPORT_RULES", AGENT, "--calls", CASES) == {"calls": 12, "changed": []}


def test_the_calls_of_recorded_runs_are_compared() -> None:
    banker = "tests.workflow.agents:Banker"
    found = document("diff", banker, banker, "--dir", HISTORIES)
    assert found["calls"] > 3
    assert found["changed"] == []
    stricter = document("diff", banker, "tests.workflow.other_rules:StingyBanker", "--dir", HISTORIES, code=1)
    assert stricter["calls"] == found["calls"]
    assert {one["after"]["rule"] for one in stricter["changed"]} == {"nobody"}


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("nofile.py:RULES", "there is no file nofile.py"),
        ("workflows/support_rules.py:NOTHING", "has no NOTHING"),
        ("workflows.support_rules:EVERYWHERE", "is no agent, no rule set and no list of rules"),
    ],
)
def test_what_is_no_rule_set_is_refused(rules: str, why: str) -> None:
    result = policy("diff", rules, AGENT, "--calls", CASES)
    assert result.exit_code == 2, result.output
    assert why in " ".join(result.stderr.split())


def test_a_rule_file_that_can_not_be_imported_says_why(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise ValueError('half written')")
    result = policy("diff", f"{path}:RULES", AGENT, "--calls", CASES)
    assert result.exit_code == 2
    assert "ValueError: half written" in " ".join(result.stderr.split())


def test_without_calls_there_is_nothing_to_compare() -> None:
    result = policy("diff", AGENT, AGENT)
    assert result.exit_code == 2
    assert "give --calls, --file or --dir" in " ".join(result.stderr.split())


def test_a_name_that_stands_twice_in_a_file_of_cases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    path.write_text(
        '{"agent": "a:B", "cases": [{"name": "one", "tool": "t", "expect": "deny", "expect": "allow"}]}'
    )
    result = policy("test", path)
    assert result.exit_code == 2
    assert "the key 'expect' is there twice" in " ".join(result.stderr.split())
