"""``agentflow approver``: keys, signed decisions, delegations and revocations, against a worker that wants them."""

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agentflow.adapters.jwks_file import read_keys
from agentflow.adapters.signer import Signer, delegation_id
from tests.cli.harness import Answer, CommandLine, eventually
from tests.conftest import temporal_binary


@pytest.fixture
def ann(tmp_path: Path) -> Path:
    return tmp_path / "ann.json"


def made(agentflow: CommandLine, path: Path, *more: str, **env: str) -> Answer:
    subject = path.stem
    return agentflow("approver", "init", "--subject", subject, "--key-file", str(path), *more, **env)


def test_a_key_is_made_that_only_its_owner_reads_and_the_list_knows_it(
    agentflow: CommandLine, ann: Path, tmp_path: Path
) -> None:
    jwks = tmp_path / "approvers.json"
    told = made(
        agentflow, ann, "--role", "finance", "--jwks", str(jwks), "--json", AGENTFLOW_APPROVER_PASSPHRASE="p"
    )
    assert told.exit_code == 0
    assert stat.S_IMODE(ann.stat().st_mode) == 0o600
    assert "ENCRYPTED" in ann.read_text()
    (key,) = read_keys(jwks)
    assert (key.subjects, key.roles, key.kid) == (("ann",), ("finance",), told.document["kid"])
    assert Signer.load(ann, "p").kid == key.kid
    assert "d" not in told.document


def test_no_key_is_overwritten(agentflow: CommandLine, ann: Path) -> None:
    assert made(agentflow, ann, "--plain").exit_code == 0
    before = ann.read_bytes()
    assert "no key is overwritten" in made(agentflow, ann, "--plain").stderr
    assert ann.read_bytes() == before


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({}, "no terminal to ask at for the passphrase"),
        ({"AGENTFLOW_APPROVER_PASSPHRASE": "wrong"}, "can't be opened"),
    ],
)
def test_a_key_is_not_opened_without_its_passphrase(
    agentflow: CommandLine, ann: Path, env: dict[str, str], says: str
) -> None:
    made(agentflow, ann, AGENTFLOW_APPROVER_PASSPHRASE="p")
    told = agentflow("approver", "show", "--key-file", str(ann), **env)
    assert told.exit_code == 2
    assert says in told.stderr


def test_what_is_no_delegation_is_not_revoked(agentflow: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "none").write_text("a.b.c")
    told = agentflow("approver", "revoke-delegation", str(tmp_path / "none"), "--by", "ann")
    assert told.exit_code == 2
    assert "the delegation is none" in told.stderr


def test_without_a_key_the_command_says_how_to_make_one(agentflow: CommandLine, tmp_path: Path) -> None:
    told = agentflow("approver", "show", "--key-file", str(tmp_path / "none"))
    assert "approver init" in told.stderr


class TestRun:
    """With a run that waits for a signed approval."""

    @pytest.fixture
    def waiting(
        self, beside: CommandLine, agentflow: CommandLine, ann: Path, tmp_path: Path
    ) -> Iterator[str]:
        jwks = tmp_path / "approvers.json"
        for path in (ann, tmp_path / "bob.json"):
            made(agentflow, path, "--plain", "--jwks", str(jwks), "--role", "finance")
        queue = f"signed-{uuid4()}"
        with beside.worker(queue, AGENTFLOW_APPROVERS=str(jwks)):
            yield beside.waiting("pay 500.00", task_queue=queue)

    def test_a_signed_approval_counts_and_a_stated_one_does_not(
        self, agentflow: CommandLine, waiting: str, ann: Path
    ) -> None:
        plain = agentflow("approve", "--yes", waiting, "approval-1", "--by", "ann")
        assert plain.exit_code == 1
        assert f"agentflow approver approve {waiting} approval-1" in plain.stderr
        shown = agentflow("approvals", waiting)
        assert f"agentflow approver approve {waiting} approval-1 --hash" in shown.stdout.replace("\n", " ")
        signed = agentflow(
            "approver",
            "approve",
            "--yes",
            waiting,
            "approval-1",
            "--key-file",
            str(ann),
            "--json",
            "--reason",
            "ok",
        )
        assert signed.document["status"] == "approved"

    def test_a_batch_is_signed_too(self, agentflow: CommandLine, waiting: str, ann: Path) -> None:
        which = ["approvals", "approve", "--query", f"WorkflowId = '{waiting}'", "--yes"]
        eventually(lambda: agentflow("approvals", *which[2:4], "--json").document["runs"])
        stated = agentflow(*which, "--by", "ann")
        assert stated.exit_code == 1
        assert "takes signed decisions only: say --signed" in stated.stderr
        signed = agentflow(*which, "--signed", "--key-file", str(ann))
        assert signed.exit_code == 0, signed.stderr
        assert agentflow.outcome(waiting)["tool_calls"][0]["approved_by"] == ["ann"]

    def test_what_sign_prints_can_be_sent_as_a_signal_and_counts_once(
        self, agentflow: CommandLine, waiting: str, ann: Path
    ) -> None:
        printed = agentflow("approver", "sign", waiting, "approval-1", "--key-file", str(ann))
        assert json.loads(printed.stdout)["by"] == "ann"
        assert "signal approve" in printed.stderr
        temporal = [temporal_binary(), "workflow", "signal", "--workflow-id", waiting, "--name", "approve"]
        sent = [*temporal, "--address", agentflow.address, "--input", printed.stdout]
        subprocess.run(sent, check=True, capture_output=True, timeout=30)
        assert agentflow.outcome(waiting)["tool_calls"][0]["approved_by"] == ["ann"]

    def test_a_delegate_decides_in_the_others_place(
        self, agentflow: CommandLine, waiting: str, ann: Path, tmp_path: Path
    ) -> None:
        token = agentflow("approver", "delegate", "--to", "bob", "--key-file", str(ann)).stdout
        (tmp_path / "from-ann").write_text(token)
        told = agentflow(
            "approver",
            "reject",
            "--yes",
            waiting,
            "approval-1",
            "--delegation",
            str(tmp_path / "from-ann"),
            "--key-file",
            str(tmp_path / "bob.json"),
            "--json",
        )
        assert told.document["status"] == "rejected"
        log = agentflow("status", waiting, "--decisions", "--json").document["decisions"]
        assert [line["by"] for line in log if line["subject"] == "rejection"] == ["bob for ann"]

    @pytest.mark.parametrize("named_by", ["its id", "its file"])
    def test_a_delegation_is_revoked_alone(
        self, agentflow: CommandLine, waiting: str, ann: Path, tmp_path: Path, named_by: str
    ) -> None:
        made_out = agentflow("approver", "delegate", "--to", "bob", "--key-file", str(ann))
        given = tmp_path / "from-ann"
        given.write_text(made_out.stdout)
        name = delegation_id(made_out.stdout.strip())
        assert name in made_out.stderr.replace("\n", "")
        which = name if named_by == "its id" else str(given)
        told = agentflow("approver", "revoke-delegation", which, "--by", "ann", "--json")
        assert told.exit_code == 0, told.stderr
        assert told.document["runs"] >= 1
        bob = ["--key-file", str(tmp_path / "bob.json")]
        approve = ["approver", "approve", "--yes", waiting, "approval-1", *bob]
        in_place = agentflow(*approve, "--delegation", str(given))
        assert in_place.exit_code == 1
        assert "is revoked" in in_place.stderr
        assert agentflow(*approve).exit_code == 0

    def test_a_signature_for_longer_than_the_run_takes_is_refused(
        self, agentflow: CommandLine, waiting: str, ann: Path
    ) -> None:
        key = ["--key-file", str(ann)]
        printed = agentflow("approver", "sign", waiting, "approval-1", "--valid", "1h", *key)
        temporal = [temporal_binary(), "workflow", "signal", "--workflow-id", waiting, "--name", "approve"]
        sent = [*temporal, "--address", agentflow.address, "--input", printed.stdout]
        subprocess.run(sent, check=True, capture_output=True, timeout=30)
        eventually(lambda: agentflow.approval(waiting)["refused"])
        assert "900 s at most" in agentflow.approval(waiting)["refused"][0]["reason"]
        assert agentflow("approver", "reject", "--yes", waiting, "approval-1", *key).exit_code == 0

    def test_a_key_that_is_revoked_decides_nothing_more(
        self, agentflow: CommandLine, waiting: str, ann: Path, tmp_path: Path
    ) -> None:
        kid = Signer.load(ann).kid
        jwks = tmp_path / "approvers.json"
        told = agentflow("approver", "revoke", kid, "--by", "sec", "--jwks", str(jwks), "--json")
        assert told.document["runs"] >= 1
        assert told.document["in_ledger"] == "revoked"
        assert read_keys(jwks)[0].revoked_at is not None
        stops = agentflow("freezes", "--all", "--json").document["freezes"]
        assert (f"key:{kid}", "sec") in [(stop["key"], stop["by"]) for stop in stops]
        refused = agentflow("approver", "approve", "--yes", waiting, "approval-1", "--key-file", str(ann))
        assert refused.exit_code == 1
        assert "is revoked" in refused.stderr
        bob = str(tmp_path / "bob.json")
        assert (
            agentflow("approver", "reject", "--yes", waiting, "approval-1", "--key-file", bob).exit_code == 0
        )
