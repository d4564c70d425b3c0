"""``agentflow audit``: from a run on the server to what an auditor reads."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import MODULE, Answer, CommandLine

HISTORIES = Path(__file__).parents[1] / "replay" / "histories"


@pytest.fixture(scope="session")
def paid(agentflow: CommandLine) -> str:
    """A run that two people let pay."""
    workflow_id = agentflow.waiting("pay 1.00")
    agentflow("approve", workflow_id, "approval-1", "--by", "ann", "--yes")
    agentflow.outcome(workflow_id)
    return workflow_id


class Auditor:
    """``agentflow audit`` with a home of the test's own."""

    def __init__(self, agentflow: CommandLine, home: Path) -> None:
        self.agentflow, self.home = agentflow, home

    def __call__(self, *arguments: str, **env: str) -> Answer:
        return self.agentflow("audit", *arguments, AGENTFLOW_AUDIT_HOME=str(self.home), **env)

    def export(self, *arguments: str, out: Path) -> Any:
        exported = self("export", *arguments, "--workflows", MODULE, "--out", str(out), "--json")
        assert exported.exit_code == 0, exported.stderr + exported.stdout
        return exported.document


@pytest.fixture
def audit(agentflow: CommandLine, tmp_path: Path) -> Auditor:
    return Auditor(agentflow, tmp_path / "home")


def test_a_run_on_the_server_becomes_a_bundle_that_verifies(
    audit: Auditor, paid: str, tmp_path: Path
) -> None:
    exported = audit.export(paid, out=tmp_path / "b")
    assert (exported["runs"], exported["gaps"]) == (1, [])
    verified = audit("verify", str(tmp_path / "b"), "--json")
    assert verified.exit_code == 0
    (bundle,) = verified.document["bundles"]
    assert (bundle["ok"], bundle["is_known_signer"], bundle["contents_opened"]) == (True, True, 1)


def test_a_changed_byte_makes_verify_exit_1_and_name_the_record(
    audit: Auditor, paid: str, tmp_path: Path
) -> None:
    audit.export(paid, out=tmp_path / "b")
    log = tmp_path / "b" / "decisions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"kind"', b'"Kind"')
    log.write_bytes(b"".join(lines))
    verified = audit("verify", str(tmp_path / "b"))
    assert verified.exit_code == 1
    assert "record 3" in verified.stdout


def test_a_query_finds_the_runs(audit: Auditor, paid: str, tmp_path: Path) -> None:
    exported = audit.export("--query", f"WorkflowId = '{paid}'", out=tmp_path / "b")
    assert exported["runs"] == 1


def test_a_query_that_finds_nothing_exits_4(audit: Auditor, tmp_path: Path) -> None:
    found = audit("export", "--query", "WorkflowId = 'nobody'", "--out", str(tmp_path / "b"))
    assert found.exit_code == 4
    assert not (tmp_path / "b").exists()


def test_a_run_that_is_not_there_exits_4(audit: Auditor, tmp_path: Path) -> None:
    assert audit("export", "nobody", "--workflows", MODULE, "--out", str(tmp_path / "b")).exit_code == 4


def test_what_is_missing_is_named_and_exits_5(audit: Auditor, tmp_path: Path) -> None:
    history = HISTORIES / "0.1.0-continued.json"
    exported = audit(
        "export", "--file", str(history), "--workflows", MODULE, "--out", str(tmp_path / "b"), "--json"
    )
    assert exported.exit_code == 5
    assert [each["gap"] for each in exported.document["gaps"]] == ["history_expired", "not_replayed"]


def test_a_place_that_exists_is_not_written_over(audit: Auditor, paid: str, tmp_path: Path) -> None:
    exported = audit("export", paid, "--workflows", MODULE, "--out", str(tmp_path))
    assert exported.exit_code == 1
    assert "exists" in exported.stderr


@pytest.mark.parametrize("arguments", [(), ("case", "--query", "x"), ("case", "--file", "x.json")])
def test_runs_are_said_in_one_way(audit: Auditor, arguments: tuple[str, ...], tmp_path: Path) -> None:
    misused = audit("export", *arguments, "--out", str(tmp_path / "b"))
    assert misused.exit_code == 2
    assert "one of these" in misused.stderr


def test_a_short_retention_is_warned_of(audit: Auditor, paid: str, tmp_path: Path) -> None:
    exported = audit.export(paid, "--log-days", "90", out=tmp_path / "b")
    assert "EU AI Act" in exported["warnings"][0]


def test_an_erased_run_can_not_be_read_and_the_log_verifies(
    audit: Auditor, paid: str, tmp_path: Path
) -> None:
    audit.export(paid, out=tmp_path / "b")
    erased = audit("erase", str(tmp_path / "b"), paid, "--yes", "--json")
    assert len(erased.document["erased"]) == 1
    (bundle,) = audit("verify", str(tmp_path / "b"), "--json").document["bundles"]
    assert (bundle["ok"], bundle["contents_unopened"]) == (True, 1)


def test_keys_whose_time_is_over_are_deleted(audit: Auditor, paid: str, tmp_path: Path) -> None:
    audit.export(paid, out=tmp_path / "b")
    assert audit("expire", "--json").document == {"erased": []}
    (key,) = (tmp_path / "home" / "keys").glob("*.key")
    file = json.loads(key.read_text())
    key.write_text(json.dumps({**file, "expires": "2020-01-01T00:00:00+00:00"}))
    assert audit("expire", "--json").document == {"erased": [key.stem]}


def test_a_run_becomes_a_page(audit: Auditor, paid: str, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    assert audit("report", paid, "--workflows", MODULE, "--html", str(page)).exit_code == 0
    assert paid in page.read_text("utf-8")


def test_a_page_is_made_out_of_a_bundle(audit: Auditor, paid: str, tmp_path: Path) -> None:
    audit.export(paid, out=tmp_path / "b")
    page = tmp_path / "run.html"
    reported = audit("report", paid, "--bundle", str(tmp_path / "b"), "--html", str(page))
    assert reported.exit_code == 0, reported.stderr
    assert "Merkle root" in page.read_text("utf-8")


def test_an_incident_is_one_directory(audit: Auditor, paid: str, tmp_path: Path) -> None:
    out = tmp_path / "incident"
    drilled = audit("incident", "--since", "1h", "--workflows", MODULE, "--out", str(out), "--json")
    assert drilled.exit_code in (0, 5), drilled.stderr
    assert drilled.document["runs"] >= 1
    assert paid in (out / "index.html").read_text("utf-8")
    assert (out / "reports" / "000001.html").is_file()
    timeline = (out / "timeline.csv").read_text("utf-8").splitlines()
    assert timeline[0].startswith("at,workflow_id")
    assert timeline[1:] == sorted(timeline[1:], key=lambda line: line.split(",")[0])
    assert audit("verify", str(out / "bundle")).exit_code == 0


@pytest.mark.parametrize("since", ["yesterday", "2026-05-01", "99999999d"])
def test_a_time_that_is_none_is_refused(audit: Auditor, since: str, tmp_path: Path) -> None:
    assert audit("incident", "--since", since, "--out", str(tmp_path / "i")).exit_code == 2


def test_what_is_shared_verifies_as_a_log(audit: Auditor, paid: str, tmp_path: Path) -> None:
    audit.export(paid, out=tmp_path / "b")
    shared = audit("share", str(tmp_path / "b"), "--out", str(tmp_path / "s"), "--json")
    assert (shared.exit_code, shared.document["runs_without_texts"]) == (0, {})
    assert audit("verify", str(tmp_path / "s"), "--log-only").exit_code == 0


def test_forged_texts_of_what_is_shared_exit_1(audit: Auditor, paid: str, tmp_path: Path) -> None:
    audit.export(paid, out=tmp_path / "b")
    audit("share", str(tmp_path / "b"), "--out", str(tmp_path / "s"))
    (tmp_path / "s" / "texts.jsonl").write_text("")
    verified = audit("verify", str(tmp_path / "s"), "--log-only")
    assert verified.exit_code == 1
    assert "texts.jsonl" in verified.stdout


def test_who_has_no_signing_key_shares_nothing(
    audit: Auditor, agentflow: CommandLine, paid: str, tmp_path: Path
) -> None:
    audit.export(paid, out=tmp_path / "b")
    shared = Auditor(agentflow, tmp_path / "other")(
        "share", str(tmp_path / "b"), "--out", str(tmp_path / "s")
    )
    assert shared.exit_code == 2
    assert "--home" in shared.stderr
    assert not (tmp_path / "other").exists()


def test_a_bundle_of_a_key_that_nobody_expects_does_not_exit_0(
    audit: Auditor, agentflow: CommandLine, paid: str, tmp_path: Path
) -> None:
    audit.export(paid, out=tmp_path / "b")
    nobody = Auditor(agentflow, tmp_path / "nobody")
    verified = nobody("verify", str(tmp_path / "b"), "--json")
    assert verified.exit_code == 5
    assert verified.document["ok"] is False
    assert verified.document["bundles"][0]["is_as_signed"] is True


@pytest.fixture
def two(audit: Auditor, paid: str, tmp_path: Path) -> Path:
    """A directory with two bundles."""
    for name in ("first", "second"):
        audit.export(paid, out=tmp_path / "bundles" / name)
    return tmp_path / "bundles"


def test_a_bundle_that_is_withheld_is_found_by_the_newest_head(audit: Auditor, two: Path) -> None:
    head = audit("head", "--json").document["head"]
    verified = audit("verify", str(two), "--expect-head", head, "--json")
    assert verified.exit_code == 0, verified.stdout
    assert verified.document["head"]["digest"] == head
    withheld = two.parent / "withheld"
    (two / "second").rename(withheld)
    assert audit("verify", str(two)).exit_code == 0
    assert audit("verify", str(two), "--expect-head", head).exit_code == 1
    # Nor is it enough to show the newest alone.
    assert audit("verify", str(withheld), "--expect-head", head).exit_code == 1


def test_a_head_that_has_been_followed_is_not_the_newest(audit: Auditor, paid: str, tmp_path: Path) -> None:
    old = audit.export(paid, out=tmp_path / "bundles" / "first")["head"]
    audit.export(paid, out=tmp_path / "bundles" / "second")
    assert audit("verify", str(tmp_path / "bundles"), "--expect-head", old).exit_code == 1


@pytest.mark.parametrize("head", ["", "latest", "0" * 63, "A" * 64])
def test_a_head_that_is_none_is_refused(audit: Auditor, two: Path, head: str) -> None:
    assert audit("verify", str(two), "--expect-head", head).exit_code == 2


def test_without_an_export_there_is_no_head(audit: Auditor) -> None:
    assert audit("head").exit_code == 4


@pytest.mark.parametrize("stranger", ["file", "folder", "link", "without its digest"])
def test_what_is_no_bundle_among_bundles_is_told(audit: Auditor, two: Path, stranger: str) -> None:
    match stranger:
        case "file":
            (two / "notes.txt").write_text("x")
        case "folder":
            (two / "notes").mkdir()
        case "link":
            (two / "latest").symlink_to(two / "second")
        case _:
            (two / "second" / "digest.json").unlink()
    assert audit("verify", str(two)).exit_code == 1


def test_an_incident_is_verified_with_its_pages(audit: Auditor, paid: str, tmp_path: Path) -> None:
    out = tmp_path / "incident"
    audit("incident", "--since", "1h", "--workflows", MODULE, "--out", str(out))
    assert audit("verify", str(out)).exit_code == 0
    page = out / "reports" / "000001.html"
    page.write_text(page.read_text("utf-8") + "<!-- forged -->", "utf-8")
    verified = audit("verify", str(out))
    assert verified.exit_code == 1
    assert "reports/000001.html" in verified.stdout


def test_an_incident_without_the_extra_leaves_the_chain_as_it_was(
    audit: Auditor, paid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.export(paid, out=tmp_path / "audits" / "first")
    head = audit("head", "--json").document
    with monkeypatch.context() as missing:
        missing.setitem(sys.modules, "jinja2", None)
        out = tmp_path / "audits" / "incident"
        assert audit("incident", "--since", "1h", "--workflows", MODULE, "--out", str(out)).exit_code == 2
    assert audit("head", "--json").document == head
    audit.export(paid, out=tmp_path / "audits" / "second")
    assert audit("verify", str(tmp_path / "audits")).exit_code == 0


def test_the_log_is_printed_as_ocsf(audit: Auditor, paid: str, tmp_path: Path) -> None:
    records = audit.export(paid, out=tmp_path / "b")["records"]
    printed = audit("ocsf", str(tmp_path / "b")).stdout.splitlines()
    assert len(printed) == records
    assert json.loads(printed[0])["class_uid"] == 6003


def test_a_vault_that_does_not_answer_exits_3_and_says_how_to_go_on(
    audit: Auditor, paid: str, tmp_path: Path
) -> None:
    audit.export(paid, out=tmp_path / "b")
    address = "s3://vault/a?region=us-east-1&endpoint=http://127.0.0.1:9"
    uploaded = audit("upload", str(tmp_path / "b"), address, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
    assert uploaded.exit_code == 3
    assert "the same command goes on" in uploaded.stderr
    assert audit("verify", str(tmp_path / "b")).exit_code == 0


def test_a_log_of_another_signer_is_not_the_expected_one(
    audit: Auditor, agentflow: CommandLine, paid: str, tmp_path: Path
) -> None:
    audit.export(paid, out=tmp_path / "b")
    other = Auditor(agentflow, tmp_path / "other")
    other.export(paid, out=tmp_path / "o")
    assert other("verify", str(tmp_path / "b")).exit_code == 1
    key = tmp_path / "home" / "signing-key.pub.pem"
    assert other("verify", str(tmp_path / "b"), "--public-key", str(key)).exit_code == 0


def test_replay_takes_a_query(agentflow: CommandLine, paid: str) -> None:
    replayed = agentflow("replay", "--query", f"WorkflowId = '{paid}'", "--workflows", MODULE, "--json")
    assert [each["result"] for each in replayed.document["histories"]] == ["ok"]


def test_a_run_is_done_again_and_compared(agentflow: CommandLine, paid: str) -> None:
    done = agentflow("reexecute", paid, "--workflows", MODULE, "--gate", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.document["same"] is True
    assert done.document["model_answers"]["anew"] == 0
    assert [each["now"]["verdict"] for each in done.document["decisions"]] == ["ask"]


def test_the_code_at_hand_must_be_of_the_release_that_is_named(agentflow: CommandLine, paid: str) -> None:
    refused = agentflow("reexecute", paid, "--workflows", MODULE, "--release", "99")
    assert refused.exit_code == 2
    assert "not 99" in refused.stderr
