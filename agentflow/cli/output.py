"""What commands print: one JSON document, or Rich for people. The only file that writes to a stream.

Text of runs (arguments, reasons, names) comes from models and strangers. ``safe`` takes the power out
of it: no markup, no terminal control sequences, no invisible or direction-changing characters.
"""

import json
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from pydantic_core import to_jsonable_python
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.status import Status
from rich.table import Table
from rich.text import Text

from agentflow.cli.exits import CommandFailed
from agentflow.contracts.wire import Json
from agentflow.core.visible import visible

PIPE_WIDTH = 200
"""Columns where there is no terminal: an id that is folded can't be pasted or grepped."""


def safe(value: object, style: str = "") -> Text:
    """Any value as text that can't do anything to a terminal but be read on it."""
    return Text(visible(str(value)), style=style, overflow="fold")


def exact_json(value: Json) -> Text:
    """A JSON value in full, as a person must see what they approve."""
    return safe(json.dumps(value, indent=2, ensure_ascii=False))


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and values below each other; a ``Text`` is taken as it is, ``None`` is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(name, value if isinstance(value, Text) else safe(value))
    return grid


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Rows below headings."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else safe(cell) for cell in row))
    return grid


def columns(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Text:
    """Rows below headings, each on one line that is never folded: what is in it can be pasted."""
    cells = [[_on_one_line(safe(name, "bold")) for name in names]]
    cells += [[_on_one_line(cell if isinstance(cell, Text) else safe(cell)) for cell in row] for row in rows]
    widths = [max(cell_len(cell.plain) for cell in column) for column in zip(*cells, strict=True)]
    lines: list[Text] = []
    for row in cells:
        padded = [
            Text.assemble(cell, " " * (width - cell_len(cell.plain)))
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append(Text("  ").join(padded))
        lines[-1].rstrip()
    return Text("\n").join(lines)


class Output:
    """Where a command's words go: the result to standard output, all else to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = sys.stdout
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)

    @contextmanager
    def reserved(self) -> Generator[None]:
        """Keep standard output for the JSON document, whatever an imported module prints."""
        if not self.as_json:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield

    def result(self, document: Json, *views: RenderableType) -> None:
        """The command's result. Call it once: it is one JSON document, or the views.

        Args:
            document: Pydantic models, decimals and times are put in JSON's terms; money is a string.
            *views: What a person sees. A ``Text`` is never folded, so that it can be pasted.
        """
        if self.as_json:
            # ASCII only: no terminal, locale or invisible character can change what it says.
            plain = to_jsonable_python(document, inf_nan_mode="null")
            self._stdout.write(json.dumps(plain, indent=2) + "\n")
            self._stdout.flush()
            return
        _print(self._out, views)

    def lines(self, documents: Iterable[Json]) -> None:
        """The command's result as many JSON documents, one a line, for who reads them as they come."""
        for document in documents:
            self._stdout.write(json.dumps(to_jsonable_python(document)) + "\n")
        self._stdout.flush()

    def show(self, *views: RenderableType) -> None:
        """Something to read before the result, such as what is about to be approved."""
        _print(self._err if self.as_json else self._out, views)

    def note(self, message: str) -> None:
        """A remark on the way."""
        self._err.print(safe(message), soft_wrap=True)

    def failure(self, stop: CommandFailed) -> None:
        """Why the command failed; with JSON also as the document."""
        if self.as_json:
            self.result({"error": {"code": stop.code.name.lower(), "message": str(stop)}})
        self._err.print(Text.assemble(("agentflow: ", "bold red"), safe(stop)), soft_wrap=True)

    @contextmanager
    def screen(self) -> Generator["Screen"]:
        """A view that is drawn again and again, or lines where there is no terminal to draw on."""
        with Screen(self._out, self._stdout, as_json=self.as_json) as screen:
            yield screen

    @contextmanager
    def progress(self, message: str) -> Generator["Progress"]:
        """Show on standard error that something takes a while."""
        with Progress(self._err, message) as progress:
            yield progress


class Screen:
    """What changes while it is looked at."""

    def __init__(self, console: Console, stream: TextIO, *, as_json: bool) -> None:
        self._stream = stream
        self._as_json = as_json
        self._console = console
        is_drawn = console.is_terminal and not as_json
        self._live = Live(console=console, auto_refresh=False, screen=True) if is_drawn else None

    def draw(self, *views: RenderableType) -> None:
        """Show this in place of what was shown."""
        if self._live:
            self._live.update(Group(*views), refresh=True)

    def tell(self, document: Json, line: str) -> None:
        """Say what happened, where nothing is drawn: a line of JSON, or of text."""
        if self._live:
            return
        if self._as_json:
            self._stream.write(json.dumps(to_jsonable_python(document)) + "\n")
            self._stream.flush()
        else:
            self._console.print(safe(line), soft_wrap=True)

    def __enter__(self) -> "Screen":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()


class Progress:
    """A spinner on a terminal, a line for each change elsewhere."""

    def __init__(self, console: Console, message: str) -> None:
        self._console = console
        self._said = message
        self._status = Status(safe(message), console=console) if console.is_terminal else None

    def update(self, message: str) -> None:
        """What is going on now."""
        if message == self._said:
            return
        self._said = message
        if self._status:
            self._status.update(safe(message))
        else:
            self._console.print(safe(message), soft_wrap=True)

    def counting(self, message: str, every: int) -> Callable[[int], None]:
        """What to tell how far something is: now and then, it says so.

        Args:
            message: With ``{}`` where the number goes.
            every: How many there are between two words.
        """

        def told(number: int) -> None:
            if number % every == 0:
                self.update(message.format(number))

        return told

    def __enter__(self) -> "Progress":
        if self._status:
            self._status.start()
        else:
            self._console.print(safe(self._said), soft_wrap=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()


def _on_one_line(cell: Text) -> Text:
    return Text(cell.plain.replace("\n", "\\n").replace("\t", "\\t"), style=cell.style)


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def _print(console: Console, views: Iterable[RenderableType]) -> None:
    for view in views:
        console.print(view, soft_wrap=isinstance(view, Text))
