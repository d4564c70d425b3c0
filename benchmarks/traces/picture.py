"""A trace as a picture: a bar for each span, below the one that it is a part of."""

from collections.abc import Iterator, Sequence
from html import escape

from agentflow.telemetry import semconv
from benchmarks.traces.receiver import Received

WIDTH, LABEL, ROW, TOP = 1_080, 330, 22, 34
COLOURS = {
    "invoke_agent": "#4c566a",
    "chat": "#5e81ac",
    "execute_tool": "#4f8a63",
    "agentflow.decide": "#b48ead",
    "agentflow.await_approval": "#d08770",
}
FAILED = "#bf616a"


def in_order(spans: Sequence[Received]) -> Iterator[tuple[int, Received]]:
    """The spans with their depths: each below its parent, by the time that they began."""
    known = {span.id for span in spans}
    children: dict[bytes, list[Received]] = {}
    for span in sorted(spans, key=lambda span: span.start):
        children.setdefault(span.parent if span.parent in known else b"", []).append(span)

    def below(parent: bytes, depth: int) -> Iterator[tuple[int, Received]]:
        for span in children.get(parent, ()):
            yield depth, span
            yield from below(span.id, depth + 1)

    yield from below(b"", 0)


def as_text(spans: Sequence[Received], width: int = 60) -> str:
    """The trace for a terminal."""
    first, last = min(s.start for s in spans), max(s.end for s in spans)
    lines: list[str] = []
    for depth, span in in_order(spans):
        left = round((span.start - first) / (last - first) * width)
        length = max(round((span.end - span.start) / (last - first) * width), 1)
        bar = (" " * left + ("x" if span.failed else "#") * length)[: width + 1].ljust(width + 1)
        lines.append(f"{'  ' * depth + _label(span):<48} |{bar}| {_took(span)}")
    return "\n".join(lines)


def as_svg(spans: Sequence[Received], title: str) -> str:
    """The trace as a picture of its own."""
    first, last = min(s.start for s in spans), max(s.end for s in spans)
    rows = list(in_order(spans))
    room, height = WIDTH - LABEL - 80, TOP + ROW * len(rows) + 26

    def x(time: int) -> float:
        return LABEL + (time - first) / (last - first) * room

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-size="14" font-weight="bold" fill="#2e3440">{escape(title)}</text>',
    ]
    for part in range(5):
        at, seconds = LABEL + room * part / 4, (last - first) / 1e9 * part / 4
        parts.append(f'<path d="M{at:.1f} {TOP - 6}V{height - 20}" stroke="#e5e9f0"/>')
        parts.append(_text(at, height - 6, f"{seconds:.1f} s", "middle"))
    for number, (depth, span) in enumerate(rows):
        y, begin, end = TOP + ROW * number, x(span.start), x(span.end)
        colour = FAILED if span.failed else COLOURS.get(span.name.split(" ")[0], "#88909f")
        size = f'width="{max(end - begin, 2):.1f}" height="{ROW - 8}" rx="2"'
        parts.append(_text(8 + 14 * depth, y + 14, _label(span)))
        parts.append(f'<rect x="{begin:.1f}" y="{y + 3}" {size} fill="{colour}"/>')
        parts.append(_text(min(end + 5, WIDTH - 50), y + 14, _took(span)))
    return "\n".join([*parts, "</svg>\n"])


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="#2e3440">{escape(text)}</text>'


def _label(span: Received) -> str:
    attempt = span.attributes.get(semconv.ATTEMPT)
    return f"{span.name}, attempt {attempt}" if attempt not in (None, 1) else span.name


def _took(span: Received) -> str:
    return f"{(span.end - span.start) / 1e9:.2f} s"
