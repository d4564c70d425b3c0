"""Finding Temporal, and saying so when it isn't there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.harness import ROOT, CommandLine

NOWHERE = "127.0.0.1:1"


def test_no_server_is_one_line_that_says_what_to_do(agentflow: CommandLine) -> None:
    failed = agentflow.process("--address", NOWHERE, "runs")
    assert failed.exit_code == 3
    assert failed.stdout == ""
    (line,) = failed.stderr.splitlines()
    assert "can't reach Temporal at 127.0.0.1:1 (Connection refused)" in line
    assert "agentflow dev" in line


def test_a_failure_is_a_json_document_too(agentflow: CommandLine) -> None:
    failed = agentflow("--address", NOWHERE, "runs", "--json")
    assert failed.document["error"]["code"] == "unreachable"


def test_the_option_overrides_the_environment(agentflow: CommandLine) -> None:
    assert agentflow("--address", agentflow.address, "runs", TEMPORAL_ADDRESS=NOWHERE).exit_code == 0


def test_the_namespace_comes_from_the_environment(agentflow: CommandLine) -> None:
    assert agentflow("runs", TEMPORAL_NAMESPACE="nowhere").exit_code == 4


def test_a_profile_of_temporals_configuration_file_is_used(agentflow: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.lab]\naddress = "{NOWHERE}"\n')
    env = {name: value for name, value in agentflow.environment().items() if name != "TEMPORAL_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-m", "agentflow.cli", "--profile", "lab", "runs"],
        env={**env, "TEMPORAL_CONFIG_FILE": str(file)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert NOWHERE in done.stderr


def test_a_profile_that_does_not_exist_is_a_usage_error(agentflow: CommandLine) -> None:
    refused = agentflow("--profile", "lab", "runs", "--json")
    assert refused.exit_code == 2
    assert "lab" in refused.error


def test_a_certificate_that_is_not_there_is_a_usage_error(agentflow: CommandLine) -> None:
    env = {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/no/such/certificate.pem"}
    refused = agentflow("runs", "--json", **env)
    assert refused.exit_code == 2
    assert "/no/such/certificate.pem" in refused.error


@pytest.mark.parametrize("given", ["::::", "not a host", "no-such-host.invalid:7233"])
def test_an_address_that_is_none_is_told(agentflow: CommandLine, given: str) -> None:
    failed = agentflow("--address", given, "runs")
    assert failed.exit_code == 3


def test_help_lists_the_exit_codes(agentflow: CommandLine) -> None:
    shown = " ".join(agentflow("--help").stdout.split())
    for code in ("0 done", "1 refused", "2 wrong usage", "3 Temporal", "4 no such run", "130 interrupted"):
        assert code in shown


def test_without_the_extra_the_command_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "agentflow.cli"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        'agentflow: the command line needs an extra: pip install "agentflow-temporal[cli]"'
    )
