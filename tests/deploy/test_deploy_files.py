"""The container files, judged without Docker: hadolint reads the Dockerfile, Compose resolves its file."""

import json
import re
import subprocess
import sysconfig
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from activities.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
DOCKERFILE = DEPLOY / "Dockerfile"
SCRIPTS = Path(sysconfig.get_path("scripts"))

REQUIRED = {
    "POSTGRES_PASSWORD": "0123456789abcdef",
    "AGENTFLOW_TIER": "production",
    "AGENTFLOW_MODEL": "anthropic:model",
    "AGENTFLOW_PAYMENTS_KEY": "sk_test_1",
}
SECRET = re.compile(r"PASSWORD|PWD|KEY|SECRET|TOKEN")
PINNED = re.compile(r"@sha256:[0-9a-f]{64}$|:v?\d+\.\d+(\.\d+)?[\w.-]*$")


def compose(*arguments: str, env_file: Path) -> subprocess.CompletedProcess[str]:
    """Compose with the variables of that file and none of this process's, and without a Docker to ask."""
    command = [SCRIPTS / "docker-compose", "--env-file", env_file, "--file", COMPOSE, *arguments]
    environment = {"HOME": str(env_file.parent), "PATH": str(SCRIPTS)}
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)


def write_env(path: Path, **variables: str) -> Path:
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return path


def services(tmp_path_factory: pytest.TempPathFactory, *options: str) -> dict[str, dict[str, Any]]:
    env_file = write_env(tmp_path_factory.mktemp("compose") / "env", **REQUIRED)
    result = compose("config", "--format", "json", *options, env_file=env_file)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["services"]


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Services as Compose would start them."""
    return services(tmp_path_factory)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Services with their ``${VARIABLES}`` as they stand in the file."""
    return services(tmp_path_factory, "--no-interpolate")


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions as (name, arguments), one list for each stage."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text())
    lines = [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    instructions = [(name, arguments) for name, arguments in lines]
    starts = [number for number, (name, _) in enumerate(instructions) if name == "FROM"]
    return [instructions[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def last(stage: list[tuple[str, str]], wanted: str) -> str:
    return [arguments for name, arguments in stage if name == wanted][-1]


def copied_from_the_repository(stages: list[list[tuple[str, str]]]) -> list[str]:
    copies = [arguments.split() for stage in stages for name, arguments in stage if name == "COPY"]
    return [source for copy in copies if not copy[0].startswith("--from") for source in copy[:-1]]


def is_one_shot(name: str, resolved: dict[str, dict[str, Any]]) -> bool:
    awaited = [service.get("depends_on", {}).get(name, {}).get("condition") for service in resolved.values()]
    return resolved[name]["restart"] == "no" and "service_completed_successfully" in awaited


class TestDockerfile:
    def test_hadolint_finds_nothing(self):
        result = subprocess.run(
            [SCRIPTS / "hadolint", DOCKERFILE], check=False, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout

    def test_its_base_images_are_pinned(self, stages):
        for stage in stages:
            assert PINNED.search(last(stage, "FROM").split()[0])

    def test_the_worker_is_not_root(self, stages):
        user = last(stages[-1], "USER")
        # By number, so that a cluster's "run as non-root" can check it.
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)

    def test_the_worker_itself_gets_the_stop_signal(self, stages):
        assert last(stages[-1], "STOPSIGNAL") == "SIGTERM"
        assert json.loads(last(stages[-1], "CMD")) == ["python", "worker.py"]

    def test_what_it_copies_exists_and_reaches_the_build(self, stages):
        rules = (ROOT / ".dockerignore").read_text().splitlines()
        for source in copied_from_the_repository(stages):
            assert (ROOT / source).exists(), source
            assert f"!{source}" in rules

    def test_what_it_installs_besides_the_project_has_the_bounds_we_test(self, stages):
        installed = re.findall(r'"([^"]+)"', last(stages[0], "RUN"))
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert [wanted for wanted in installed if wanted not in extras["dev"]] == installed[:1]

    def test_the_code_it_copies_is_compiled_once(self, stages):
        copied = [Path(source).name for source in copied_from_the_repository(stages[-1:])]
        assert last(stages[-1], "RUN").split() == ["python", "-m", "compileall", "-q", *copied]

    def test_the_build_is_sent_nothing_else(self, stages):
        rules = (ROOT / ".dockerignore").read_text().splitlines()
        sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
        assert "*" in rules
        assert sent == set(copied_from_the_repository(stages))


class TestCompose:
    @pytest.mark.parametrize("missing", REQUIRED)
    def test_it_does_not_start_without(self, missing: str, tmp_path: Path):
        env_file = write_env(tmp_path / "env", **(REQUIRED | {missing: ""}))
        result = compose("config", "--quiet", env_file=env_file)
        assert result.returncode != 0
        assert missing in result.stderr

    def test_images_are_pinned(self, resolved):
        for service in resolved.values():
            assert PINNED.search(service["image"]), service["image"]

    def test_temporals_images_are_of_one_version(self, resolved):
        tags = {resolved[name]["image"].split(":")[1] for name in ("schema", "temporal", "namespace")}
        assert len(tags) == 1

    def test_every_service_is_one_shot_or_has_a_health_check(self, resolved, stages):
        checked_by_its_image = {"worker"} if last(stages[-1], "HEALTHCHECK") else set()
        for name, service in resolved.items():
            checked = "test" in service.get("healthcheck", {}) or name in checked_by_its_image
            assert checked or is_one_shot(name, resolved), name

    def test_a_service_that_is_not_one_shot_comes_back(self, resolved):
        for name, service in resolved.items():
            assert is_one_shot(name, resolved) or service["restart"] == "unless-stopped", name

    def test_ports_are_open_to_this_machine_only(self, resolved):
        ports = [port for service in resolved.values() for port in service.get("ports", [])]
        assert ports
        assert {port.get("host_ip") for port in ports} == {"127.0.0.1"}

    def test_our_containers_can_change_nothing_but_their_volume(self, resolved):
        for name in ("setup", "worker"):
            assert resolved[name]["read_only"]
            assert resolved[name]["cap_drop"] == ["ALL"]
            assert "no-new-privileges:true" in resolved[name]["security_opt"]
        volumes = resolved["worker"]["volumes"]
        assert {v["target"] for v in volumes if not v.get("read_only")} == {"/var/lib/agentflow"}

    def test_no_secret_has_a_default(self, written):
        variables = [pair for service in written.values() for pair in service.get("environment", {}).items()]
        secrets = [value for name, value in variables if SECRET.search(name)]
        assert secrets
        assert all(value is None or re.fullmatch(r"\$\{\w+:\?[^}]*\}", value) for value in secrets)

    def test_the_worker_is_given_longer_than_its_graceful_shutdown(self, resolved):
        worker = resolved["worker"]
        grace = TypeAdapter(timedelta).validate_python(worker["environment"]["AGENTFLOW_SHUTDOWN_GRACE"])
        assert grace < timedelta(seconds=int(worker["stop_grace_period"].removesuffix("s")))


class TestSettings:
    def test_the_example_names_every_variable_and_no_other(self, written):
        text = COMPOSE.read_text()
        passed_on = {name for name, value in written["worker"]["environment"].items() if value is None}
        used = set(re.findall(r"\$\{(\w+)", text)) | passed_on
        named = set(re.findall(r"(?m)^#?([A-Z][A-Z_]+)=", (DEPLOY / ".env.example").read_text()))
        assert named == used

    def test_the_example_has_no_secret(self):
        values = re.findall(r"(?m)^#?([A-Z][A-Z_]+)=(.+)$", (DEPLOY / ".env.example").read_text())
        assert not [name for name, _ in values if SECRET.search(name)]

    def test_every_setting_of_the_worker_can_be_set(self, resolved, stages):
        settings = {f"AGENTFLOW_{name.upper()}" for name in Settings.model_fields}
        in_image = set(re.findall(r"(\w+)=", last(stages[-1], "ENV")))
        assert settings <= in_image | set(resolved["worker"]["environment"])
