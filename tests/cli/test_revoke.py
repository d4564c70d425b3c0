from pathlib import Path

from agentflow.adapters.jwks_file import add_key
from agentflow.adapters.signer import Signer
from tests.cli.harness import CommandLine


def stops(command: CommandLine) -> list[tuple[str, str, str]]:
    found = command("freezes", "--all", "--json").document["freezes"]
    return [(stop["key"], stop["by"], stop.get("reason", "")) for stop in found]


def test_a_delegation_is_revoked_alone(beside: CommandLine) -> None:
    beside("ledger", "migrate")
    told = beside("approver", "revoke-delegation", "d-7", "--by", "sec", "--reason", "left", "--json")
    assert told.exit_code == 0, told.stderr
    assert (told.document["key"], told.document["in_ledger"]) == ("d-7", "revoked")
    assert stops(beside) == [("delegation:d-7", "sec", "left")]


def test_a_delegation_that_can_not_be_written_into_the_ledger_is_said_to_be_so(beside: CommandLine) -> None:
    answer = beside("approver", "revoke-delegation", "d-7", "--by", "sec")
    assert answer.exit_code == 4
    assert "there is no effect ledger" in answer.stderr


def test_revoking_again_says_so(beside: CommandLine) -> None:
    beside("ledger", "migrate")
    said = [
        beside("approver", "revoke", "k", "--by", "sec", "--json").document["in_ledger"] for _ in range(2)
    ]
    assert said == ["revoked", "revoked before"]


def test_a_ledger_that_can_not_be_written_stops_neither_the_list_nor_the_runs(
    beside: CommandLine, tmp_path: Path
) -> None:
    jwks, signer = tmp_path / "approvers.json", Signer.generate("ann")
    add_key(jwks, signer.public())
    options = ("--by", "sec", "--jwks", str(jwks), "--json")
    # The name of a key may begin with a dash.
    answer = beside("approver", "revoke", *options, "--", signer.kid)
    assert answer.exit_code == 4
    assert "approved writes go on, as it is not in the ledger" in answer.stderr
    assert answer.document["in_ledger"] is None
    assert "revoked_at" in jwks.read_text()


def test_a_key_that_is_none_is_refused(beside: CommandLine) -> None:
    beside("ledger", "migrate")
    answer = beside("approver", "revoke", "k" * 201, "--by", "sec")
    assert answer.exit_code == 2
