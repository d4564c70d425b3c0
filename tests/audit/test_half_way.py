"""A command that fails half-way changed nothing, or is finished by the next one; the chain stays whole."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agentflow.audit.last_export import newest
from agentflow.audit.succession import digests_of, heads, verify_chain
from agentflow.audit.verify import verify_incident
from agentflow.errors import AuditError, MissingExtraError
from benchmarks.attacks.edits import snapshot_of
from tests.audit.half_way import failing_at
from tests.audit.places import Desk, recorded
from tests.forked import forked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with signals")

Command = Callable[[Desk], Awaitable[Any]]

COMMANDS: dict[str, Command] = {
    "export": lambda desk: desk.export(desk.home / "out" / "it", [recorded("circling")], agents=()),
    "incident": lambda desk: desk.export_incident(
        desk.home / "out" / "it", [recorded("circling")], agents=()
    ),
    "share": lambda desk: desk.share(desk.home / "first", desk.home / "out" / "it"),
}


@pytest.fixture(autouse=True)
def _kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in ``failing_at``."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a run was exported before, so that its key is there."""
    home = tmp_path_factory.mktemp("template") / "home"
    await Desk(home).export(home / "first", [recorded("circling")], agents=())
    return home


def _copy(template: Path, home: Path) -> Desk:
    return Desk(Path(shutil.copytree(template, home)))


def _state(desk: Desk) -> Any:
    """All that is in the home; a lock is none of it."""
    return {name: what for name, what in snapshot_of(desk.home).items() if not name.endswith(".lock")}


async def _operations(desk: Desk, command: Command) -> int:
    with failing_at(None) as count:
        await command(desk)
    return count()


async def _chain_is_whole(desk: Desk, kind: str) -> None:
    """Whatever happened: the next export follows, and all that is at its place verifies."""
    await desk.export(desk.home / "next", [recorded("circling")], agents=())
    it = desk.home / "out" / "it"
    verdicts = [await desk.verify(desk.home / name) for name in ("first", "next")]
    if it.exists():
        match kind:
            case "incident":
                verdicts.append(await verify_incident(it, desk.signer.public, desk.keys))
            case "share":
                assert (await desk.verify(it, log_only=True)).ok
            case _:
                verdicts.append(await desk.verify(it))
    assert [problem for verdict in verdicts for problem in verdict.problems] == []
    assert verify_chain(verdicts) == []
    last = newest(desk.home / "last.json")
    assert [last] == heads(digests_of(verdicts))


@pytest.mark.parametrize("kind", COMMANDS)
async def test_a_command_whose_nth_operation_on_a_file_fails_leaves_all_as_it_was(
    tmp_path: Path, template: Path, kind: str
) -> None:
    command = COMMANDS[kind]
    operations = await _operations(_copy(template, tmp_path / "whole"), command)
    assert operations > 10
    failed = 0
    # One that failed and changed nothing is followed by the next: neither is it in the next one's way.
    desk = _copy(template, tmp_path / "home")
    before = _state(desk)
    for number in range(operations):
        try:
            with failing_at(number):
                await command(desk)
        except (AuditError, OSError):
            failed += 1
            assert _state(desk) == before, number
        else:
            # A folder that was there already, or clearing up after all was done.
            assert (desk.home / "out" / "it").exists()
            await _chain_is_whole(desk, kind)
            desk = _copy(template, tmp_path / f"home-{number}")
    assert failed > operations - 10
    await _chain_is_whole(desk, kind)


def _kill_at_each(kind: str, template: str, place: str, operations: int) -> None:
    """In a process of its own, which has no threads: a child for each operation, killed at it."""

    async def run(home: Path, number: int | None) -> None:
        with failing_at(number, "kill"):
            await COMMANDS[kind](Desk(home))

    # Whatever it imports is imported once.
    asyncio.run(run(_copy(Path(template), Path(place) / "imports").home, None))
    for number in range(operations):
        home = Path(place) / f"home-{number}"
        shutil.copytree(template, home)
        child = os.fork()
        if child == 0:
            asyncio.run(run(home, number))
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, number


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMMANDS)
async def test_a_command_that_is_killed_at_any_operation_leaves_a_chain_that_goes_on(
    tmp_path: Path, template: Path, kind: str
) -> None:
    operations = await _operations(_copy(template, tmp_path / "whole"), COMMANDS[kind])
    process = forked(_kill_at_each, kind, str(template), str(tmp_path), operations)
    await asyncio.to_thread(process.join)
    assert process.exitcode == 0
    for number in range(operations):
        await _chain_is_whole(Desk(tmp_path / f"home-{number}"), kind)


async def test_an_incident_without_its_extra_begins_nothing(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = _copy(template, tmp_path / "home")
    before = _state(desk)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match="audit"):
        await COMMANDS["incident"](desk)
    assert _state(desk) == before
    monkeypatch.undo()
    await _chain_is_whole(desk, "incident")


async def test_a_bundle_that_was_moved_on_before_the_next_export_counts(
    tmp_path: Path, template: Path
) -> None:
    """Who died before the file could say that it is the last one, leaves a note that says so."""
    desk = _copy(template, tmp_path / "home")
    chain = desk.home / "last.json"
    before = chain.read_bytes()
    note: list[bytes] = []

    def noticing(source: Any, place: Any) -> None:
        if Path(place) == chain:
            note.append((desk.home / "last.json.pending").read_bytes())
        rename(source, place)

    rename = os.replace
    os.replace = noticing
    try:
        await COMMANDS["export"](desk)
    finally:
        os.replace = rename
    # As if it had died there.
    chain.write_bytes(before)
    (desk.home / "last.json.pending").write_bytes(note[-1])
    (desk.home / "out" / "it").rename(desk.home / "elsewhere")
    await desk.export(desk.home / "next", [recorded("circling")], agents=())
    verdicts = [await desk.verify(desk.home / name) for name in ("first", "elsewhere", "next")]
    assert verify_chain(verdicts) == []


async def test_a_file_that_was_set_back_under_a_note_is_not_believed(tmp_path: Path, template: Path) -> None:
    desk = _copy(template, tmp_path / "home")
    await COMMANDS["export"](desk)
    chain = desk.home / "last.json"
    (desk.home / "last.json.pending").write_text(
        '{"this":{"export":"a","digest":"' + "0" * 64 + '"},"aside":"/x","place":"/y","bundle":"."}'
    )
    before = chain.read_bytes()
    with pytest.raises(AuditError, match="put there by hand"):
        await desk.export(desk.home / "next", [recorded("circling")], agents=())
    assert chain.read_bytes() == before
