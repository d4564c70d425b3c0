"""Directories that are at their place once they are whole, and nowhere if that fails."""

import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from agentflow.adapters.whole_file import sync_folder, sync_tree
from agentflow.errors import AuditError
from agentflow.private_files import make_folder


class NewDirectory:
    """A directory that is being filled, beside its place."""

    def __init__(self, aside: Path, place: Path) -> None:
        self.path: Path = aside
        """Where it is filled."""
        self.place: Path = place
        self.is_put: bool = False
        """Whether it is at its place."""
        self.is_left: bool = False
        """Whether somebody else sees to it from here on, whatever fails."""

    def sync(self) -> None:
        """Have all that is in it on the disk.

        Raises:
            AuditError: it could not be.
        """
        try:
            sync_tree(self.path)
        except OSError as error:
            raise self._failed(error) from None

    def put(self) -> None:
        """Put it at its place, where a power cut leaves it too.

        Raises:
            AuditError: it could not be, or something is there by now.
        """
        _check_free(self.place)
        try:
            os.rename(self.path, self.place)
            self.is_put = True
            sync_folder(self.place.parent)
        except OSError as error:
            raise self._failed(error) from None

    def take_back(self) -> None:
        """Undo ``put``.

        Raises:
            OSError: it could not be.
        """
        if self.is_put:
            os.rename(self.place, self.path)
            self.is_put = False

    def _failed(self, error: OSError) -> AuditError:
        return AuditError(f"{self.place} can't be written: {error}")


@contextmanager
def new_directory(place: Path) -> Generator[NewDirectory]:
    """A directory to fill. It is put at its place at the end, if it isn't there by then.

    Raises:
        AuditError: the place exists, or can't be written to.
    """
    _check_free(place)
    missing = [folder for folder in place.parents if not folder.exists()]
    try:
        make_folder(place.parent)
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=prefix_of(place)))
    except OSError as error:
        _remove_empty(missing)
        raise AuditError(f"{place} can't be written: {error}") from None
    new = NewDirectory(aside, place)
    try:
        yield new
        if not new.is_put:
            new.sync()
            new.put()
    except BaseException as error:
        if not new.is_left:
            _remove(new)
            _remove_empty(missing)
        if isinstance(error, OSError):
            raise AuditError(f"{place} can't be written: {error}") from None
        raise


def prefix_of(place: Path) -> str:
    """How the names of directories begin that become that one."""
    return f".{place.name}."


def _check_free(place: Path) -> None:
    # A link that leads nowhere is something, too.
    if os.path.lexists(place):
        raise AuditError(f"{place} exists; nothing is written over: give another place")


def _remove(new: NewDirectory) -> None:
    with suppress(OSError):
        new.take_back()
        shutil.rmtree(new.path, ignore_errors=True)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were made for it, the lowest first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
