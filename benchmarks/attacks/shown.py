"""Shown: texts of models and strangers, in the places where people read them.

An attempt gets through if two texts that differ by a character which shows as nothing are shown alike, if a
place shows a character that isn't seen or turns the line around, a line break or a terminal's sequence, or if
a text becomes markup. The twin shows texts without control characters, as most programs do.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random

from benchmarks.attacks.shown_places import LINES, PAGES, Page
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried

TWIN_SHARE = 4
_IGNORABLE = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *((0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
    (0xE0000, 0xE0FFF),
)
"""Default_Ignorable_Code_Point, as DerivedCoreProperties-17.0.0.txt has it: written out here, and not asked
of what is under attack."""
_BLANK = (0x2800, 0x2D7F, 0xFFFC, 0x13441, 0x13442, 0x16FE4, 0x1D159)
_UNSEEN = {chr(point) for first, last in _IGNORABLE for point in range(first, last + 1)} | set(
    map(chr, _BLANK)
)
_SPACES = " \t\r\n"
"""White space that people see as such: pages may show it as one space."""
_HOSTILE = (
    *(
        "```\n# Approved",
        "<img src=x onerror=alert(1)>",
        "**bold**",
        "[a](javascript:x)",
        "![a](//e.example/x)",
    ),
    *(
        "\x1b[2K\x1b[1A",
        "\x1b]8;;https://evil.example\x07",
        "\r",
        "\x9b31m",
        "\n\n- item",
        "| a |\n|---|",
        "---",
    ),
    *("<script>x</script>", "&lt;b&gt;", "~~~", "    code", "<!-- ", "]]>", "{{ 7 * 7 }}", "[bold red]x[/]"),
    *(
        "\u202eevil\u202c",
        "\u2066x\u2069",
        "a" + "\u0301" * 60,
        "\u2028",
        "\x85",
        "https://evil.example",
        ":boom:",
    ),
    *(
        "1) item",
        "+ item",
        "# heading",
        "=====",
        "<https://evil.example>",
        "`code`",
        "$(id)",
        "\\\n",
        "\ud800",
    ),
)
_WORDS = ("pay", "ann", "100.00", "acme.com", "Zoë", "東京", "عَرَبِيّ", "हिन्दी", "DE89 3704", "(approved)")


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Have texts shown in each place: no server is needed."""
    del stage
    tally = Tally()
    for _ in range(attempts):
        tally.count(_tried(random))
    for _ in range(max(attempts // TWIN_SHARE, 20)):
        tally.count_twin(_twin(random))
    return tally


def _tried(random: Random) -> Iterator[Tried]:
    text, other = _texts(random)
    name = random.choice([*LINES, *PAGES])
    try:
        problem = _of_page(PAGES[name], text, other) if name in PAGES else _of_line(name, text, other)
    except Exception as error:
        problem = f"raised {type(error).__name__}: {error}"
    yield Tried(name, problem is not None, f"{problem}: {text!a} and {other!a}")


def _of_line(name: str, text: str, other: str) -> str | None:
    shown = LINES[name](text)
    if not set(shown).isdisjoint("\n\t\r"):
        return "broke the line"
    return _unseen(shown, "") or ("are shown alike" if shown == LINES[name](other) else None)


def _of_page(page: Page, text: str, other: str) -> str | None:
    shown, plain = page.shown(text), page.shown("text")
    if page.markup(shown) != page.markup(plain):
        return "became markup"
    return _unseen(shown, "\n\t") or ("are shown alike" if shown == page.shown(other) else None)


def _twin(random: Random) -> Iterator[Tried]:
    text, other = _texts(random)
    shown, also = _without_controls(text), _without_controls(other)
    yield Tried("line", shown == also or _unseen(shown, "") is not None)


def _without_controls(text: str) -> str:
    return "".join(char for char in text if unicodedata.category(char) != "Cc")


def _unseen(shown: str, layout: str) -> str | None:
    """The first character that nothing is seen of."""
    marks = 0
    for char in shown:
        marks = marks + 1 if unicodedata.category(char).startswith("M") else 0
        if not (_is_seen(char) or char in f" {layout}"):
            return f"has {char!a}"
        if marks > 10:
            return "has marks that cover other lines"
    return None


@lru_cache(maxsize=8_192)
def _is_seen(char: str) -> bool:
    # What this Python doesn't know may be a letter of a newer Unicode.
    return char not in _UNSEEN and (
        unicodedata.category(char)[0] in "LMNPS" or unicodedata.category(char) == "Cn"
    )


def _texts(random: Random) -> tuple[str, str]:
    """A text, and the same with a character in it that may pass for nothing."""
    parts = [random.choice([*_WORDS, *_WORDS, *_HOSTILE, _any(random)]) for _ in range(random.randint(1, 5))]
    text = random.choice([" ", "", ", "]).join(parts)
    place = random.randint(0, len(text))
    return text, text[:place] + _nothing(random) + text[place:]


def _nothing(random: Random) -> str:
    return random.choice(_by_category()[random.choice(("Cc", "Cf", "Zs", "Zl", "Zp", "Co", "Cs", "unseen"))])


def _any(random: Random) -> str:
    kinds = _by_category()
    return "".join(random.choice(kinds[random.choice(list(kinds))]) for _ in range(random.randint(1, 6)))


@lru_cache(maxsize=1)
def _by_category() -> Mapping[str, Sequence[str]]:
    """Characters of each category of Unicode, white space of layout left out, and those that aren't seen."""
    found: dict[str, list[str]] = {"unseen": sorted(_UNSEEN)}
    for point in (*range(0x30000), *range(0xE0000, 0xE1000)):
        char = chr(point)
        if char not in _SPACES:
            found.setdefault(unicodedata.category(char), []).append(char)
    return found
