"""All that is in a bundle's directory, as it is there and not as it reads: links, pipes and folders too.

A bundle has files, in the one or two folders of its form. Anything else doesn't belong: what a link names may
be something else tomorrow, and a pipe or a device never ends.
"""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentflow.errors import AuditError

_REPARSE_POINT: int = getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)
"""Of Windows: junctions and their like."""


@dataclass(frozen=True)
class Listing:
    """What is there, by names as a digest has them."""

    files: frozenset[str]
    """Files with this one name."""
    strange: Mapping[str, str]
    """All else, with what it is."""


def listing_of(directory: Path, folders: Collection[str] = (), *, besides: str = "") -> Listing:
    """What is in a directory.

    Args:
        directory: Of the bundle.
        folders: Those that a bundle of its form may have. No other is looked into.
        besides: A folder that is looked at elsewhere.

    Raises:
        AuditError: it can't be read.
    """
    files, strange = set[str](), dict[str, str]()
    try:
        for folder in ("", *folders):
            if folder and not _is_folder(directory / folder):
                continue
            with os.scandir(directory / folder) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    what = _what(entry)
                    if what == "file":
                        files.add(_shown(name))
                    elif what != "folder" or name not in {*folders, besides}:
                        strange[_shown(name)] = _WORDS[what]
    except OSError as error:
        raise AuditError(f"{directory} can't be listed: {error}") from None
    return Listing(frozenset(files), strange)


_WORDS = {
    "folder": "a folder that no bundle of this form has",
    "link": "a link, and what it names may change: put a copy in its place",
    "linked": "a file with another name elsewhere, by which it may change: put a copy in its place",
    "other": "neither a file nor a folder",
}


def _what(entry: os.DirEntry[str]) -> str:
    # Not the entry's own: Windows leaves the count of names out of it.
    there = os.lstat(entry.path)
    if stat.S_ISLNK(there.st_mode) or getattr(there, "st_file_attributes", 0) & _REPARSE_POINT:
        return "link"
    if stat.S_ISDIR(there.st_mode):
        return "folder"
    if not stat.S_ISREG(there.st_mode):
        return "other"
    return "file" if there.st_nlink == 1 else "linked"


def _is_folder(path: Path) -> bool:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(there.st_mode) and not getattr(there, "st_file_attributes", 0) & _REPARSE_POINT


def _shown(name: str) -> str:
    """As text: a name of bytes that are no UTF-8 is none of a bundle, and must be told all the same."""
    return name.encode("utf-8", "backslashreplace").decode()
