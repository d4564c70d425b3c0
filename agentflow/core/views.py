"""A text as it reads once what is encoded in it is decoded, with the way back to where it stands.

What must not leave may stand in a text in another form: as JSON, HTML, URLs, forms, Python or base64 write
it, one within another. Who looks for it looks through all views, and takes out the part of the original
text that a view's finding came from.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from re import Match, Pattern

DEPTH = 3
"""Encodings within one another that are seen through."""
TIMES = 16
"""Characters of all views for each of the text: what is encoded in several ways has several views."""
_AT_LEAST = 1_000
_BY_CHANCE = 16
"""Characters that random bytes may seem to say; longer texts were put there."""
_END = "\n\0\n"
"""What ends a text that was decoded out of another, so that two are never read as one."""


class TooManyFormsError(Exception):
    """A text has more in it than is looked through: nested deeper, or encoded in too many ways."""


@dataclass(frozen=True)
class Reach:
    """How far a text is looked through. One that goes on behind it is withheld as a whole."""

    depth: int = DEPTH
    """Encodings within one another, as in a JSON text within a JSON text."""
    times: int = TIMES
    """Characters of all views together, for each character of the text."""

    def __post_init__(self) -> None:
        if self.depth < 0 or self.times < 1:
            raise ValueError("a reach has a depth of 0 or more, and looks at 1 time the text or more")


REACH = Reach()


_Part = tuple[int, int, int, int]
"""A part of a view that is not as it stands in what it was made of: its start and end here, and there."""


class View:
    """A text, and where in the original text each part of it came from."""

    def __init__(
        self, text: str, source: "View | None" = None, parts: Callable[[], Iterable[_Part]] = tuple
    ) -> None:
        self.text: str = text
        """The text, as it reads."""
        self._source = source
        self._made_parts = parts
        self.is_meant: bool = True
        """Whether it is sure that there was something to decode."""

    @cached_property
    def _parts(self) -> list[_Part]:
        # Asked for where something was found, and in most texts nothing is.
        return list(self._made_parts())

    @cached_property
    def _starts(self) -> list[int]:
        return [start for start, *_ in self._parts]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where in the original text a part stands; all of what is encoded, if any of it is in the part."""
        if self._source is None or end <= start:
            return start, end
        first, last = self._stands(start), self._stands(end - 1)
        # Tokens that were decoded in several ways stand in another order than they read in.
        return self._source.place(min(first[0], last[0]), max(first[1], last[1]))

    def same_length(self, text: str) -> "View":
        """A view with another text, each character of which stands for one of this text."""
        return self if text == self.text else View(text, self)

    def replaced(self, pattern: Pattern[str], change: Callable[[Match[str]], str]) -> "View":
        """A view with another text for each match; this one if nothing changes.

        Args:
            pattern: What it looks for.
            change: Of a match always the same.
        """
        text = pattern.sub(change, self.text)
        return self if text == self.text else View(text, self, lambda: self._replaced(pattern, change))

    def _replaced(self, pattern: Pattern[str], change: Callable[[Match[str]], str]) -> Iterator[_Part]:
        at = length = 0
        for match in pattern.finditer(self.text):
            new = change(match)
            start, end = match.span()
            if new != match[0]:
                length += start - at
                yield length, length + len(new), start, end
                length += len(new)
                at = end

    def joined(self, found: Iterable[tuple[str, int, int]]) -> "View | None":
        """A view of texts that were decoded out of this one; ``None`` if there are none.

        Args:
            found: Each text, and where in this one it stands encoded.
        """
        texts: list[str] = []
        parts: list[_Part] = []
        length = 0
        for text, start, end in found:
            texts.append(text + _END)
            parts.append((length, length + len(texts[-1]), start, end))
            length += len(texts[-1])
        if not parts:
            return None
        view = View("".join(texts), self, lambda: parts)
        view.is_meant = max(map(len, texts)) > _BY_CHANCE + len(_END)
        return view

    def _stands(self, at: int) -> tuple[int, int]:
        index = bisect_right(self._starts, at) - 1
        if index < 0:
            return at, at + 1
        _, end, source, source_end = self._parts[index]
        if at < end:
            return source, source_end
        place = source_end + at - end
        return place, place + 1


Decoder = Callable[[View], View | None]
"""Decodes all of its kind in a view; the view itself or ``None`` where there is none."""


def views(text: str, decoders: Iterable[Decoder], reach: Reach = REACH) -> Iterator[View]:
    """The text as it stands, and decoded; each text once.

    Raises:
        TooManyFormsError: it goes on behind the reach. What came so far is not all.
    """
    ways = tuple(decoders)
    left = reach.times * max(len(text), _AT_LEAST)
    level, seen = [View(text)], {text}
    yield level[0]
    for depth in range(reach.depth + 1):
        deeper: list[View] = []
        for view in level:
            for decode in ways:
                child = decode(view)
                if child is None or child.text in seen:
                    continue
                left -= len(child.text)
                if left < 0 or (depth == reach.depth and child.is_meant):
                    raise TooManyFormsError
                if depth == reach.depth:
                    continue
                seen.add(child.text)
                yield child
                deeper.append(child)
        level = deeper
