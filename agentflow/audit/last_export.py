"""Which export was the last one, in a file that moves on together with the bundle or not at all.

A bundle names the one before it, so two things have to happen as one: the bundle comes to its place, and the
file says that it is the last. First it is written down what is about to happen (``PendingExport``). Whoever
fails undoes both. Whoever dies leaves the note, and the next export follows it up: a bundle that is at its
place counts, and one that isn't was never exported.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from agentflow.adapters.whole_file import sync_folder, write_whole
from agentflow.audit.bundle import digest_hash
from agentflow.audit.placing import NewDirectory, prefix_of
from agentflow.contracts.bundle import PendingExport, PreviousExport
from agentflow.contracts.wire import Contract, ContractT, canonical_json
from agentflow.errors import AuditError
from agentflow.private_files import make_folder, open_file
from agentflow.telemetry.file_lock import locked

WAIT = 30.0
"""Seconds for which an export waits until another one is signed and in its place."""
_STEP = 0.05


class LastExport:
    """The last export under one signing key, while nobody else can follow it."""

    def __init__(self, file: Path, export: PreviousExport | None) -> None:
        self._file = file
        self.export: PreviousExport | None = export
        """``None`` before the first."""

    def move_on(self, this: PreviousExport, new: NewDirectory, bundle: str = ".") -> None:
        """Put a bundle at its place, and make it the last export. Both happen, or neither.

        Args:
            this: The export, signed, that names the last one as the one before it.
            new: Directory that is whole and on the disk.
            bundle: The bundle in it.

        Raises:
            AuditError: it could not be. Where not even that could be undone, the text says what will be.
        """
        note = PendingExport(
            this=this,
            before=self.export,
            aside=str(new.path.absolute()),
            place=str(new.place.absolute()),
            bundle=bundle,
        )
        new.is_left = True
        try:
            _write(_note_of(self._file), note)
            new.put()
            _write(self._file, this)
        except BaseException as error:
            self._undo(note, new, error)
            raise
        self.export = this
        # What it says is so by now, and the next export finds that.
        with suppress(OSError):
            _note_of(self._file).unlink()

    def _undo(self, note: PendingExport, new: NewDirectory, why: BaseException) -> None:
        try:
            new.take_back()
            _set_back(self._file, note)
            _note_of(self._file).unlink(missing_ok=True)
        except (OSError, AuditError) as error:
            raise AuditError(
                f"{why}; what was done by then could not be undone ({error}). The next export finishes or "
                f"undoes it: leave {new.place}, {new.path} and {_note_of(self._file)} as they are"
            ) from None
        new.is_left = False


@asynccontextmanager
async def last_export(file: Path) -> AsyncGenerator[LastExport]:
    """Hold the file that says which export was the last. What somebody left who died is followed up first.

    Raises:
        AuditError: the file can't be read or written, or others hold it for too long.
    """
    try:
        make_folder(file.parent)
        handle = open_file(file.with_name(f"{file.name}.lock"), os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise AuditError(f"{file} can't be written: {error}") from None
    try:
        for _ in range(round(WAIT / _STEP)):
            if locked(handle):
                break
            await asyncio.sleep(_STEP)
        else:
            raise AuditError(f"another export has held {file} for {WAIT:g} s: try again")
        _follow_up(file)
        yield LastExport(file, _read(file, PreviousExport))
    finally:
        os.close(handle)


def newest(file: Path) -> PreviousExport | None:
    """The last export, as the next one will find it; nothing is written.

    Raises:
        AuditError: the file doesn't say.
    """
    note = _read(_note_of(file), PendingExport)
    if note is None:
        return _read(file, PreviousExport)
    return note.this if _came_to_its_place(note) else note.before


def _follow_up(file: Path) -> None:
    note = _read(_note_of(file), PendingExport)
    if note is None:
        return
    here = _read(file, PreviousExport)
    if here not in (note.before, note.this):
        raise AuditError(
            f"{file} says that another export was the last than {_note_of(file)} found there: one of them "
            "was put there by hand; restore the file that belongs to the newest bundle, or remove the note"
        )
    try:
        if _came_to_its_place(note):
            _write(file, note.this)
            _note_of(file).unlink()
        else:
            _set_back(file, note)
            # In this order: who dies in between leaves a directory, and no doubt.
            _note_of(file).unlink()
            shutil.rmtree(note.aside, ignore_errors=True)
    except OSError as error:
        raise AuditError(f"{file} can't be written: {error}") from None


def _came_to_its_place(note: PendingExport) -> bool:
    """Whether it is there, or was: a directory that is nowhere by now was moved on by somebody."""
    aside, place = Path(note.aside), Path(note.place)
    is_aside = aside.parent == place.parent and aside.name.startswith(prefix_of(place))
    return _holds(place, note) or not (is_aside and _holds(aside, note))


def _holds(directory: Path, note: PendingExport) -> bool:
    try:
        return digest_hash(directory / note.bundle) == note.this.digest
    except AuditError:
        return False


def _set_back(file: Path, note: PendingExport) -> None:
    if _read(file, PreviousExport) == note.before:
        return
    if note.before is not None:
        _write(file, note.before)
        return
    try:
        file.unlink()
        sync_folder(file.parent)
    except OSError as error:
        raise AuditError(f"{file} can't be written: {error}") from None


def _note_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.pending")


def _write(path: Path, value: Contract) -> None:
    try:
        write_whole(path, canonical_json(value.model_dump(mode="json")) + b"\n")
    except OSError as error:
        raise AuditError(f"{path} can't be written: {error}") from None


def _read(path: Path, kind: type[ContractT]) -> ContractT | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise AuditError(f"{path} doesn't say which export was last: {error}") from None
