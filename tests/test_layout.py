from pathlib import Path

import pytest

from agentflow.cli.tool_module import MARK

PROJECT = Path(__file__).parents[1]
ROOMS = ("agentflow", "workflows", "activities", "tests", "benchmarks")
MAX_LINES = 600


def python_files(room: str) -> list[Path]:
    found = sorted(PROJECT.joinpath(room).rglob("*.py"))
    # What `agentflow tools import` wrote is as long as what it was imported from.
    return [file for file in found if not file.read_text().startswith(MARK)]


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_is_too_long_to_be_one_idea(room: str) -> None:
    lengths = {file.relative_to(PROJECT): len(file.read_text().splitlines()) for file in python_files(room)}
    assert {str(file): lines for file, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize("room", ["agentflow", "workflows", "activities", "tests"])
def test_there_are_files_to_look_at(room: str) -> None:
    assert python_files(room)
