"""What the documents point at is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from agentflow.cli.app import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
NAMED = re.findall(r"(tests/[\w/]+\.py)::(\w+)", (ROOT / "docs" / "security.md").read_text("utf-8"))


@pytest.mark.parametrize(("path", "test"), sorted(set(NAMED)))
def test_a_test_that_the_threat_model_names_is_there(path: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_the_threat_model_names_tests() -> None:
    assert len(set(NAMED)) > 20


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_link_to_a_file_leads_to_one(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", document.read_text("utf-8"))
    there = [link for link in links if "NNNN" not in link]  # the pattern for a new decision's page
    assert [link for link in there if not (document.parent / link).exists()] == []


def _commands() -> set[str]:
    """Every command of the CLI, as it is typed."""

    def of(group: Any, path: str) -> Iterator[str]:
        for name, command in getattr(group, "commands", {}).items():
            yield f"{path} {name}"
            yield from of(command, f"{path} {name}")

    return set(of(typer.main.get_command(app), "agentflow"))


def test_each_control_names_a_command_that_produces_its_evidence() -> None:
    text = (ROOT / "docs" / "audit.md").read_text("utf-8")
    table = text[text.index("| control |") : text.index("A table is no certificate")]
    rows = [row.split("|")[-2] for row in table.splitlines()[2:] if row.startswith("|")]
    named = [re.findall(r"`(agentflow [a-z ]+)`", row) for row in rows]
    assert len(named) > 15
    assert all(named)
    assert {command for commands in named for command in commands} - _commands() == set()
