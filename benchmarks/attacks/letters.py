"""One name in many spellings, by Unicode's own tables.

``spelled`` writes a name so that whoever reads it reads the same: letters in another case, then each one, or
none, as another that looks like it, or as another width, font or form of it; composed or not; with other
spaces. ``marred`` puts something into it that can't be seen.
"""

import sys
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate
from random import Random

from agentflow.core import confusables


def _look_alikes() -> Mapping[str, tuple[str, ...]]:
    """By letter or letters: what the table of Unicode Technical Standard 39 says looks like it."""
    by_prototype: defaultdict[str, list[str]] = defaultdict(list)
    for entry in confusables.PROTOTYPES.split():
        prototype, _, steps = entry.partition(":")
        text = "".join(chr(int(point, 16)) for point in prototype.split("+"))
        points = accumulate(int(step, 16) for step in steps.split(","))
        by_prototype[text].extend(map(chr, points))
    found: dict[str, tuple[str, ...]] = {}
    for prototype, sources in by_prototype.items():
        group = (prototype, *sources)
        for text in group:
            found.setdefault(text, tuple(other for other in group if other != text))
    return found


def _forms() -> Mapping[str, tuple[str, ...]]:
    """By letter: its other widths, fonts and forms."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for char in map(chr, range(0x80, sys.maxunicode + 1)):
        plain = unicodedata.normalize("NFKC", char)
        if len(plain) == 1 and plain != char and unicodedata.category(char)[0] in "LN":
            found[plain].append(char)
    return {plain: tuple(forms) for plain, forms in found.items()}


def _unseen() -> Mapping[str, tuple[str, ...]]:
    kinds = {"Cf": "format", "Cc": "control", "Cs": "surrogate", "Co": "private use", "Zl": "separator"}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for char in map(chr, range(sys.maxunicode + 1)):
        category = unicodedata.category(char)
        if category in kinds and (category != "Co" or ord(char) % 101 == 0):
            found[kinds[category]].append(char)
        elif ord(char) & 0xFFFE == 0xFFFE:
            found["noncharacter"].append(char)
        elif category == "Cn" and ord(char) % 101 == 0:
            found["unassigned"].append(char)
    ignorable = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), *range(0xE0000, 0xE1000, 7))
    more = (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180F, 0x2065, 0x3164, 0xFFA0, 0xFFF3)
    found["ignorable"] = [chr(point) for point in (*ignorable, *more)]
    found["bidi"] = list("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    return {kind: tuple(chars) for kind, chars in found.items()}


LOOK_ALIKES = _look_alikes()
FORMS = _forms()
UNSEEN = _unseen()
_SPACES = " \u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


def spelled(random: Random, name: str) -> tuple[str, str]:
    """A kind of spelling, and the name in one of that kind; not as it was."""
    while True:
        kind = random.choice(["case", "look-alikes", "forms", "composition", "spaces", "all at once"])
        everything = kind == "all at once"
        text = _cased(random, name) if kind == "case" or everything else name
        if kind in ("look-alikes", "forms") or everything:
            tables = {"look-alikes": (LOOK_ALIKES,), "forms": (FORMS,)}.get(kind, (LOOK_ALIKES, FORMS))
            text = _lettered(random, text, tables)
        if kind == "composition" or (everything and random.random() < 0.5):
            text = unicodedata.normalize(random.choice(["NFC", "NFD"]), text)
        if kind == "spaces" or (everything and random.random() < 0.5):
            text = _spaced(random, text)
        # ``ali`` and ``all`` are two names, although a capital ``I`` looks like an ``l``.
        is_two = everything and is_plain(text) and is_plain(name)
        if text != name and len(text) < 150 and not is_two:
            return kind, text


def is_plain(name: str) -> bool:
    """Whether a name is in plain small letters, which are read as they are."""
    return name.isascii() and name == name.lower()


def marred(random: Random, name: str) -> tuple[str, str]:
    """A kind of what can't be seen, and the name with some of that in it."""
    kind = random.choice(sorted(UNSEEN))
    text = spelled(random, name)[1] if random.random() < 0.2 else name
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        at = random.randint(0, len(text))
        text = text[:at] + random.choice(UNSEEN[kind]) + text[at:]
    if kind == "bidi" and random.random() < 0.3:
        text = f"\u202e{name[::-1]}\u202c"
    return kind, text


def _cased(random: Random, name: str) -> str:
    how = random.choice([str.upper, str.lower, str.title, str.swapcase, None])
    return how(name) if how else "".join(random.choice([str.upper, str.lower])(char) for char in name)


def _lettered(random: Random, name: str, tables: tuple[Mapping[str, tuple[str, ...]], ...]) -> str:
    """With some letters, or pairs of them, replaced."""
    share, at, written = random.choice([0.1, 0.3, 1.0]), 0, ""
    sure = random.randrange(len(name))
    while at < len(name):
        table = random.choice(tables)
        for length in (2, 1):
            some = name[at : at + length]
            if some in table and (random.random() < share or at == sure):
                written, at = written + random.choice(table[some]), at + length
                break
        else:
            written, at = written + name[at], at + 1
    return written


def _spaced(random: Random, name: str) -> str:
    def some() -> str:
        return "".join(random.choices(_SPACES, k=random.randint(1, 3)))

    words = [some() + word if number else word for number, word in enumerate(name.split())]
    before, after = random.choice([(some(), ""), ("", some()), (some(), some()), ("", "")])
    return before + "".join(words) + after
