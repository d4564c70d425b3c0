"""What a user installs: the wheel, with the extras that README names, and nothing of this checkout."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import installed as beside_this_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[1]
MINUTES = 10
IMPORT_ALL = """
import importlib, pkgutil, agentflow, agentflow.cli
for module in pkgutil.walk_packages(agentflow.cli.__path__, "agentflow.cli."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(agentflow.__file__)
"""


def extras_of_the_readme() -> str:
    found = re.search(r'pip install "agentflow-temporal\[([a-z0-9,-]+)\]"', (ROOT / "README.md").read_text())
    assert found
    return found[1]


def run(command: Sequence[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that sees neither this checkout nor this interpreter's settings."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "COLUMNS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60 * MINUTES
    )


def uv(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What takes pip minutes of computing takes it seconds."""
    return run([beside_this_python("uv"), *arguments, "-q"], cwd)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of a venv that has the wheel."""
    place = tmp_path_factory.mktemp("wheel")
    probe = ("--no-deps", "--refresh-package", "hatchling", "--target", place / "probe", "hatchling")
    if uv("pip", "install", "--python", sys.executable, *probe, cwd=place).returncode:
        pytest.skip("no package index can be reached")
    built = uv("build", "--wheel", "--python", sys.executable, "--out-dir", place, ROOT, cwd=place)
    assert built.returncode == 0, built.stderr
    (wheel,) = place.glob("agentflow_temporal-*.whl")
    made = uv("venv", "--python", sys.executable, place / "venv", cwd=place)
    assert made.returncode == 0, made.stderr
    commands = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    extras = f"{wheel}[{extras_of_the_readme()}]"
    done = uv("pip", "install", "--python", commands / "python", extras, cwd=place)
    assert done.returncode == 0, done.stderr
    return commands


def test_the_command_of_the_wheel_shows_its_help(installed: Path, tmp_path: Path) -> None:
    shown = run([installed / "agentflow", "--help"], tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage: agentflow" in shown.stdout


def test_every_module_of_the_command_line_can_be_imported_from_the_wheel(
    installed: Path, tmp_path: Path
) -> None:
    done = run([installed / "python", "-c", IMPORT_ALL], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).is_relative_to(installed.parent)
