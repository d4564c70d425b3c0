"""``[tool.agentflow]`` of pyproject.toml."""

from pathlib import Path

import pytest

from agentflow.cli.project import Project, load_object
from agentflow.errors import ConfigurationError


def written(directory: Path, text: str) -> Path:
    (directory / "pyproject.toml").write_bytes(text.encode("latin-1"))
    return directory


def test_without_a_file_nothing_is_set(tmp_path: Path) -> None:
    assert Project.load_from(tmp_path) == Project()


@pytest.mark.parametrize("text", ["", "tool = 3", "[tool.other]"])
def test_a_file_that_says_nothing_of_us_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    assert Project.load_from(written(tmp_path, text)) == Project()


def test_every_key_is_read(tmp_path: Path) -> None:
    text = '[tool.agentflow]\nworker = "a:b"\nworkflows = ["c", "d.e:F"]\nstack = "g:h"\ndemo = "i:j.k"\n'
    project = Project.load_from(written(tmp_path, text))
    assert project == Project(worker="a:b", workflows=("c", "d.e:F"), stack="g:h", demo="i:j.k")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[tool.agentflow]\nworkers = 'a:b'", "workers: Extra inputs are not permitted"),
        ("[tool.agentflow]\nworker = 'a'", "worker: String should match pattern"),
        ("[tool.agentflow]\nworker = 'a; import os:b'", "worker: String should match pattern"),
        ("[tool.agentflow]\nworkflows = 'a'", "workflows: Input should be a valid tuple"),
        ("[tool]\nagentflow = 3", "Input should be"),
        ("[tool.agentflow", "can't be read"),
        ("\xff", "can't be read"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml") as refused:
        Project.load_from(written(tmp_path, text))
    assert why in str(refused.value)


def test_a_key_that_is_not_set_says_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match='write demo = "module:attribute" under'):
        Project().load("demo")


def test_an_object_is_loaded_by_its_path() -> None:
    assert load_object("tests.cli.tools:pay").contract.name == "pay"


def test_a_module_that_misses_another_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import what_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(ConfigurationError, match="No module named 'what_is_not_there'"):
        load_object("needs_more:thing")
