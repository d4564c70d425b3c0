"""Blobs in a directory that the workers of one machine share.

``<directory>/<root>/<writer>.pack``: a directory for each run, and in it a file for each worker process,
which only appends to its own. A blob takes one ``write``, and no file of its own: those would be thousands.
"""

import asyncio
import os
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from uuid import uuid4

from agentflow.contracts.wire import Sha256
from agentflow.private_files import make_folder, open_file

INLINE_BYTES = 64 * 1024
"""What is shorter is appended without a thread: that takes a tenth of a thread's hand-over."""
MAX_RUNS = 256
"""Runs whose packs are remembered; each has an open file."""
MAX_PLACES = 50_000
"""Blobs whose place is remembered, at about 400 bytes each. A forgotten run's packs are read again."""

_HEADER = b"%-64s %010d %08x\n"
_HEADER_BYTES = 64 + 1 + 10 + 1 + 8 + 1


class DirectoryBlobStore:
    """Blobs in packs. A killed worker leaves an incomplete blob at the end of its own pack; it is ignored."""

    def __init__(self, directory: Path, max_places: int = MAX_PLACES) -> None:
        self._directory = directory
        self._max_places = max_places
        self._places = 0
        self._writer = uuid4().hex
        self._runs: OrderedDict[Sha256, _Run] = OrderedDict()
        self._lock = Lock()

    @property
    def path(self) -> Path:
        """The directory."""
        return self._directory

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, or ``None``: unreadable or damaged is as good as lost."""
        known = self._runs.get(root)
        if known is not None and known.size_of(name) <= INLINE_BYTES and (data := self._get(root, name)):
            return data
        return await asyncio.to_thread(self._look, root, name)

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep the bytes. What is there under the name already, and whole, stays.

        Raises:
            OSError: the directory can't be written.
        """
        await self.put_all(root, {name: data})

    async def put_all(self, root: Sha256, blobs: Mapping[Sha256, bytes]) -> None:
        """Keep several blobs of one run.

        Raises:
            OSError: the directory can't be written.
        """
        if sum(map(len, blobs.values())) <= INLINE_BYTES:
            self._put(root, blobs)
        else:
            await asyncio.to_thread(self._put, root, blobs)

    def _get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, if they are where they were last seen."""
        with self._lock:
            try:
                return self._run(root).find(name)
            except OSError:
                # Somebody took the packs away.
                self._forget(root)
                return None

    def _look(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, wherever they are."""
        if (found := self._get(root, name)) is not None:
            return found
        with self._lock:
            try:
                run = self._run(root)
                run.look_again()
                self._make_room(run)
                return run.find(name)
            except OSError:
                self._forget(root)
                return None

    def _put(self, root: Sha256, blobs: Mapping[Sha256, bytes]) -> None:
        with self._lock:
            try:
                run = self._run(root)
                run.append(self._writer, blobs)
                self._make_room(run)
            except OSError:
                self._forget(root)
                raise

    def _run(self, root: Sha256) -> "_Run":
        run = self._runs.get(root)
        if run is not None and run.is_gone():
            self._forget(root)
            run = None
        if run is None:
            run = self._runs[root] = _Run(self._directory / root)
        self._runs.move_to_end(root)
        return run

    def _make_room(self, latest: "_Run") -> None:
        """Forget the runs that were idle longest. The latest stays, however long it is."""
        self._places += len(latest.places) - latest.counted
        latest.counted = len(latest.places)
        while len(self._runs) > 1 and (len(self._runs) > MAX_RUNS or self._places > self._max_places):
            self._forget(next(iter(self._runs)))

    def _forget(self, root: Sha256) -> None:
        run = self._runs.pop(root, None)
        if run is not None:
            self._places -= run.counted
            run.close()


@dataclass(frozen=True, slots=True)
class _Place:
    pack: str
    offset: int
    size: int
    check: int
    """CRC-32 of the bytes, against damage by accident. Callers know the bytes by their hash as well."""


@dataclass
class _Run:
    """The packs of one run: this process's own, and what the others had when they were last looked at."""

    folder: Path
    own: int | None = None
    """File descriptor of this process's pack."""
    own_name: str = ""
    own_size: int = 0
    places: dict[bytes, list[_Place]] = field(default_factory=dict[bytes, list[_Place]])
    """By name; the likeliest to be whole comes last."""
    counted: int = 0
    """How many of the places the store has counted."""
    read_up_to: dict[str, int] = field(default_factory=dict[str, int])
    """How much of each pack is in ``places``."""

    def is_gone(self) -> bool:
        """Whether somebody removed this process's pack: what is appended to it then is lost to the others."""
        return self.own is not None and os.fstat(self.own).st_nlink == 0

    def close(self) -> None:
        """Let go of the pack."""
        if self.own is not None:
            os.close(self.own)
            self.own = None

    def size_of(self, name: Sha256) -> int:
        """How many bytes a blob has, as far as is known here: 0 where nothing is."""
        places = self.places.get(name.encode())
        return places[-1].size if places else 0

    def find(self, name: Sha256) -> bytes | None:
        """The first whole blob of the name."""
        for place in reversed(self.places.get(name.encode(), ())):
            with (self.folder / place.pack).open("rb") as file:
                file.seek(place.offset)
                data = file.read(place.size)
            if zlib.crc32(data) == place.check and len(data) == place.size:
                return data
        return None

    def look_again(self) -> None:
        """Take in what other processes have appended."""
        try:
            packs = sorted(entry.name for entry in os.scandir(self.folder) if entry.name.endswith(".pack"))
        except FileNotFoundError:
            return
        for pack in packs:
            if pack != self.own_name:
                self._read(pack)

    def append(self, writer: str, blobs: Mapping[Sha256, bytes]) -> None:
        """Append the blobs that are not there yet."""
        records: list[bytes] = []
        added: list[tuple[bytes, _Place]] = []
        own = self._open(writer)
        offset = self.own_size
        for name, data in blobs.items():
            key, check = name.encode(), zlib.crc32(data)
            if self._has(key, data, check):
                continue
            records.append(_HEADER % (key, len(data), check))
            records.append(data)
            added.append((key, _Place(self.own_name, offset + _HEADER_BYTES, len(data), check)))
            offset += _HEADER_BYTES + len(data)
        if not records:
            return
        self._write(own, b"".join(records))
        self.own_size = offset
        for key, place in added:
            self.places.setdefault(key, []).append(place)

    def _has(self, key: bytes, data: bytes, check: int) -> bool:
        """Whether the blob is there, with the same bytes on the disk."""
        known = self.places.get(key, ())
        if not any(place.check == check and place.size == len(data) for place in known):
            return False
        return self.find(Sha256(key.decode())) == data

    def _open(self, writer: str) -> int:
        if self.own is None:
            self.own_name = f"{writer}.pack"
            path = self.folder / self.own_name
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            try:
                self.own = open_file(path, flags)
            except FileNotFoundError:
                make_folder(self.folder)
                self.own = open_file(path, flags)
            self.own_size = os.fstat(self.own).st_size
            if self.own_size:
                # This process was here before, and forgot: nobody looks again into one's own pack.
                self._read(self.own_name)
        return self.own

    def _write(self, own: int, data: bytes) -> None:
        """Append all of the bytes or none."""
        try:
            written = os.write(own, data)
            while written < len(data):
                written += os.write(own, data[written:])
        except OSError:
            os.ftruncate(own, self.own_size)
            raise

    def _read(self, pack: str) -> None:
        """Take in what a pack has beyond what is known of it."""
        offset = self.read_up_to.get(pack, 0)
        with (self.folder / pack).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while offset + _HEADER_BYTES <= size:
                file.seek(offset)
                header = file.read(_HEADER_BYTES).split()
                if len(header) != 3:
                    break
                try:
                    length, check = int(header[1]), int(header[2], 16)
                except ValueError:
                    break
                if offset + _HEADER_BYTES + length > size:
                    break  # still being written, or its writer died
                place = _Place(pack, offset + _HEADER_BYTES, length, check)
                self.places.setdefault(header[0], []).insert(0, place)
                offset += _HEADER_BYTES + length
        self.read_up_to[pack] = offset
