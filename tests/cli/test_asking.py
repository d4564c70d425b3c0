"""No command that asks takes what comes through a pipe for a person's answer."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import agentflow.cli
from agentflow.adapters.signer import Signer
from tests.cli.harness import MODULE, ROOT, CommandLine
from tests.cli.records import a_record, kept, record_in

STDIN = {
    "no": 'yes n | "$@"',
    "yes": 'yes y | "$@"',
    "empty": '"$@" </dev/null',
    "closed": '"$@" <&-',
}
EACH_COMMAND = """
import contextlib, io, json, sys
from agentflow.cli.app import app
came = []
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            app(words)
        except SystemExit as end:
            came.append([end.code, said.getvalue()])
print(json.dumps(came))
"""
"""In one process, with the process's own standard input."""


@dataclass(frozen=True)
class Place:
    """All that the commands could change."""

    agentflow: CommandLine
    home: Path
    waiting: str
    stuck: str
    record: str

    @property
    def words(self) -> dict[str, str]:
        """What stands for names in the table of commands."""
        return {
            "WAITING": self.waiting,
            "STUCK": self.stuck,
            "RECORD": self.record,
            "QUERY": f"WorkflowId = '{self.waiting}'",
            "BUNDLE": str(self.home / "bundle"),
            "PLAIN": str(self.home / "plain.json"),
            "LOCKED": str(self.home / "locked.json"),
            "NEW": str(self.home / "new.json"),
        }

    async def now(self) -> Any:
        """How everything stands."""
        record = await record_in(self.agentflow.ledger, self.record)
        files = sorted(str(path) for path in self.home.rglob("*"))
        runs = [
            self.agentflow("status", run, "--decisions", "--json").document
            for run in (self.waiting, self.stuck)
        ]
        return record, files, runs


@pytest.fixture(scope="module")
async def place(agentflow: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("asking")
    Signer.generate("ann", ("finance",)).save(home / "plain.json")
    Signer.generate("ann", ("finance",)).save(home / "locked.json", "secret")
    record = a_record(state="unknown", detail="the bank did not answer")
    await kept(agentflow.ledger, record)
    made = Place(agentflow, home, agentflow.waiting("pay 1.00"), agentflow.waiting("stuck"), record.key)
    exported = agentflow(
        *("audit", "export", made.waiting, "--workflows", MODULE, "--out", str(home / "bundle")),
        AGENTFLOW_AUDIT_HOME=str(home / "audit"),
    )
    assert exported.exit_code in (0, 5), exported.stderr
    return made


COMMANDS = [
    ("approve WAITING approval-1 --by ann", "--yes; nothing was sent"),
    ("approve WAITING approval-1 --by ann --json", "--yes; nothing was sent"),
    ("reject WAITING approval-1 --by ann", "--yes; nothing was sent"),
    ("approver approve WAITING approval-1 --key-file PLAIN", "--yes; nothing was sent"),
    ("approver reject WAITING approval-1 --key-file PLAIN", "--yes; nothing was sent"),
    ("approvals approve --by ann --query QUERY", "--yes; nothing was sent"),
    ("approvals reject --by ann --query QUERY", "--yes; nothing was sent"),
    ("resolve STUCK guide --by ann --text go", "--yes; nothing was sent"),
    ("resolve STUCK abort --by ann", "--yes; nothing was sent"),
    ("ledger resolve RECORD did_not_happen --by ann", "--yes; nothing was closed"),
    ("audit erase BUNDLE WAITING", "--yes; nothing was erased"),
    ("approver init --subject ann --key-file NEW", "set AGENTFLOW_APPROVER_PASSPHRASE"),
    ("approver show --key-file LOCKED", "set AGENTFLOW_APPROVER_PASSPHRASE"),
    ("approver sign WAITING approval-1 --key-file LOCKED", "set AGENTFLOW_APPROVER_PASSPHRASE"),
    ("approver delegate --to bob --key-file LOCKED", "set AGENTFLOW_APPROVER_PASSPHRASE"),
    ("approver approve WAITING approval-1 --yes --key-file LOCKED", "set AGENTFLOW_APPROVER_PASSPHRASE"),
    ("demo --ask-me", "leave --ask-me out, and stand-ins decide"),
]


@pytest.mark.slow
@pytest.mark.parametrize("stdin", STDIN)
async def test_a_command_that_asks_is_refused_where_there_is_no_terminal(place: Place, stdin: str) -> None:
    before = await place.now()
    commands = [[place.words.get(word, word) for word in command.split()] for command, _ in COMMANDS]
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", STDIN[stdin], "sh", sys.executable, "-c", EACH_COMMAND, json.dumps(commands)),
        cwd=ROOT,
        env=place.agentflow.environment({"AGENTFLOW_AUDIT_HOME": str(place.home / "audit")}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    stdout, _ = await asyncio.wait_for(process.communicate(), 120)
    came = zip(COMMANDS, json.loads(stdout), strict=True)
    for (command, says), (code, said) in came:
        assert code == 2, (command, said)
        (line,) = [line for line in said.splitlines() if "no terminal to ask at" in line]
        assert line.endswith(says), (command, said)
    assert await place.now() == before


ASKING: list[Callable[[str], object]] = [
    re.compile(pattern).search
    for pattern in (
        r"typer\.(confirm|prompt)",
        r"click\.(confirm|prompt)",
        r"\bgetpass\b",
        r"\binput\(",
        r"rich\.prompt",
    )
]


def test_only_one_file_of_the_command_line_asks_anything() -> None:
    folder = Path(agentflow.cli.__file__).parent
    asking = [
        path.name
        for path in sorted(folder.glob("*.py"))
        if any(asks(path.read_text("utf-8")) for asks in ASKING) or "stdin.isatty" in path.read_text("utf-8")
    ]
    assert asking == ["asking.py"]
