from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ROOMS = ("agentflow", "workflows", "activities", "tests", "benchmarks")
MAX_LINES = 600


def python_files(room: str) -> list[Path]:
    return sorted(PROJECT.joinpath(room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_is_too_long_to_be_one_idea(room: str) -> None:
    lengths = {file.relative_to(PROJECT): len(file.read_text().splitlines()) for file in python_files(room)}
    assert {str(file): lines for file, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize("room", ["agentflow", "workflows", "activities", "tests"])
def test_there_are_files_to_look_at(room: str) -> None:
    assert python_files(room)
