"""A bundle of recorded runs, made once; each test gets a copy that it may spoil."""

import shutil
from pathlib import Path

import pytest

from tests.audit.places import Desk, recorded

RUNS = ("told-of-approvals", "circling", "reads-and-a-write", "signed")


@pytest.fixture(scope="session")
async def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("audit")
    await Desk(home).export(home / "bundle", [recorded(name) for name in RUNS])
    return home


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Desk:
    """A copy of the home, bundle included."""
    shutil.copytree(made, tmp_path / "home")
    return Desk(tmp_path / "home")


@pytest.fixture
def bundle(desk: Desk) -> Path:
    return desk.home / "bundle"
