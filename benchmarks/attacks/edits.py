"""Edits of a directory of files, one byte or one name at a time, that somebody makes who has it in hand."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

Snapshot = Mapping[str, tuple[str, bytes]]
"""All that is in a directory: what it is, and what is in it."""

STRANGE = (
    ".DS_Store",
    "notes.txt",
    "texts.jsonl",
    "shared.json",
    "incident.json",
    "digest.json.sig",
    "é",
    "…",
)


def snapshot_of(directory: Path) -> Snapshot:
    """What is in a directory, links and empty folders too."""
    found: dict[str, tuple[str, bytes]] = {}
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", b"")
        elif path.is_file():
            found[name] = (f"file of {path.stat().st_nlink}", path.read_bytes())
        else:
            found[name] = ("other", b"")
    return found


def edit(random: Random, directory: Path) -> str:
    """Make one edit, and answer its kind. It may come to nothing, as two files may be the same."""
    kind = random.choice(list(EDITS))
    EDITS[kind](random, directory)
    return kind


def _file(random: Random, directory: Path) -> Path:
    return random.choice(sorted(path for path in directory.rglob("*") if path.is_file()))


def _folder(random: Random, directory: Path) -> Path:
    return random.choice([directory, *sorted(path for path in directory.rglob("*") if path.is_dir())])


def _free(random: Random, directory: Path) -> Path:
    names = (*STRANGE, f"{random.randrange(10**6):06}.bin", f"{random.randrange(10**6):06}.html")
    while (path := _folder(random, directory) / random.choice(names)).exists():
        pass
    return path


def _flip(random: Random, directory: Path) -> None:
    path = _file(random, directory)
    data = bytearray(path.read_bytes())
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def _truncate(random: Random, directory: Path) -> None:
    path = _file(random, directory)
    data = path.read_bytes()
    path.write_bytes(data[: random.randrange(len(data))] if data else b"")


def _append(random: Random, directory: Path) -> None:
    path = _file(random, directory)
    more = random.choice([b"\n", b" ", b"\0", b"{}\n", random.randbytes(9)])
    path.write_bytes(path.read_bytes() + more)


def _drop(random: Random, directory: Path) -> None:
    """A line or a stretch out of the middle."""
    path = _file(random, directory)
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        del lines[random.randrange(len(lines))]
    path.write_bytes(b"".join(lines))


def _repeat(random: Random, directory: Path) -> None:
    """A line once more."""
    path = _file(random, directory)
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    path.write_bytes(b"".join(lines))


def _delete(random: Random, directory: Path) -> None:
    _file(random, directory).unlink()


def _delete_some(random: Random, directory: Path) -> None:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for path in random.sample(files, random.randint(2, max(2, len(files) // 2))):
        path.unlink()


def _duplicate(random: Random, directory: Path) -> None:
    shutil.copy(_file(random, directory), _free(random, directory))


def _rename(random: Random, directory: Path) -> None:
    _file(random, directory).rename(_free(random, directory))


def _swap(random: Random, directory: Path) -> None:
    one, other = _file(random, directory), _file(random, directory)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def _linked_out(random: Random, directory: Path) -> None:
    """The file itself, moved out, and a link in its place."""
    path = _file(random, directory)
    outside = directory.parent / f"outside-{random.randrange(10**9)}"
    path.rename(outside)
    path.symlink_to(outside)


def _linked_in(random: Random, directory: Path) -> None:
    _free(random, directory).symlink_to(
        random.choice([_file(random, directory), Path("/dev/zero"), directory])
    )


def _linked_folder(random: Random, directory: Path) -> None:
    folders = sorted(path for path in directory.rglob("*") if path.is_dir())
    folder = random.choice(folders) if folders else _free(random, directory)
    outside = directory.parent / f"outside-{random.randrange(10**9)}"
    if folders:
        folder.rename(outside)
    else:
        outside.mkdir()
    folder.symlink_to(outside, target_is_directory=True)


def _hard_link(random: Random, directory: Path) -> None:
    """Another name for a file, outside: by it the file can be changed later."""
    os.link(_file(random, directory), directory.parent / f"outside-{random.randrange(10**9)}")


def _empty_folder(random: Random, directory: Path) -> None:
    _free(random, directory).mkdir()


def _pipe(random: Random, directory: Path) -> None:
    path = random.choice([_file(random, directory), _free(random, directory)])
    path.unlink(missing_ok=True)
    os.mkfifo(path)


EDITS: Mapping[str, Callable[[Random, Path], None]] = {
    "flip": _flip,
    "truncate": _truncate,
    "append": _append,
    "drop": _drop,
    "repeat": _repeat,
    "delete": _delete,
    "delete some": _delete_some,
    "duplicate": _duplicate,
    "rename": _rename,
    "swap": _swap,
    "link out": _linked_out,
    "link in": _linked_in,
    "linked folder": _linked_folder,
    "hard link": _hard_link,
    "empty folder": _empty_folder,
    "pipe": _pipe,
}
