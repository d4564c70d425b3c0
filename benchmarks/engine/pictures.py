"""Charts as SVG, readable on light and on dark."""

import math
from collections.abc import Mapping, Sequence
from html import escape

_INK = "#808890"
_COLOURS = ("#c2503b", "#8a8f98", "#2f7fd1", "#2a9d6f", "#b08020")
_FONT = 'font-family="system-ui, sans-serif" font-size="13"'


def bars(title: str, values: Mapping[str, float], unit: str) -> str:
    """A horizontal bar for each value."""
    top = max(values.values())
    rows = [_text(12, 22, title, weight="bold")]
    for number, (name, value) in enumerate(values.items()):
        y, width = 44 + 30 * number, 360 * value / top
        rows += [
            _text(12, y + 15, name),
            f'<rect x="150" y="{y}" width="{width:.1f}" height="20" fill="{_colour(number)}"/>',
            _text(158 + width, y + 15, f"{value:,.4g} {unit}"),
        ]
    return _svg(640, 56 + 30 * len(values), rows)


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], x_unit: str, y_unit: str) -> str:
    """A line for each series, both axes logarithmic."""
    points = [point for line in series.values() for point in line]
    left, right = math.log10(min(x for x, _ in points)), math.log10(max(x for x, _ in points))
    low, high = math.log10(min(y for _, y in points)), math.log10(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            70 + 400 * (math.log10(x) - left) / (right - left),
            290 - 230 * (math.log10(y) - low) / (high - low),
        )

    rows = [
        _text(12, 22, title, weight="bold"),
        f'<path d="M70 50 V290 H480" fill="none" stroke="{_INK}"/>',
        _text(430, 325, x_unit),
        _text(12, 46, y_unit),
    ]
    for x in sorted({x for x, _ in points}):
        rows.append(_text(place(x, 10**low)[0] - 10, 308, f"{x:,.0f}"))
    for power in range(math.ceil(low), math.floor(high) + 1):
        rows.append(_text(12, place(10**left, 10**power)[1] + 5, f"{10**power:,}"))
    for number, (name, line) in enumerate(series.items()):
        spots = [place(x, y) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        rows.append(f'<polyline points="{path}" fill="none" stroke="{_colour(number)}" stroke-width="2"/>')
        rows += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_colour(number)}"/>' for x, y in spots]
        rows.append(_text(490, spots[-1][1] + 5, name, fill=_colour(number)))
    return _svg(640, 340, rows)


def _text(x: float, y: float, text: str, *, fill: str = _INK, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-weight="{weight}" {_FONT}>{escape(text)}</text>'


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _svg(width: int, height: int, rows: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
    return "\n".join([head, *rows, "</svg>", ""])
