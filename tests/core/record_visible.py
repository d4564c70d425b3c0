"""Write the table of what is shown as it is, from the data of ICU.

Not a test, and not part of one; it is run again to move to a newer Unicode, in a virtual environment of its
own::

    pip install icukit-pyicu==78.3.1
    python -m tests.core.record_visible

An allowlist: letters, marks, numbers, punctuation and symbols, by their general category. Of these it leaves
out what Unicode's DerivedCoreProperties has as Default_Ignorable_Code_Point, and ``BLANK``.
"""

from collections.abc import Iterator
from typing import Any

from tests.core.record_names import NOTICE, runs, write

BLANK = {
    0x2800: "BRAILLE PATTERN BLANK",
    0x2D7F: "TIFINAGH CONSONANT JOINER",
    0xFFFC: "OBJECT REPLACEMENT CHARACTER",
    0x13441: "EGYPTIAN HIEROGLYPH FULL BLANK",
    0x13442: "EGYPTIAN HIEROGLYPH HALF BLANK",
    0x16FE4: "KHITAN SMALL SCRIPT FILLER",
    0x1D159: "MUSICAL SYMBOL NULL NOTEHEAD",
}
"""Graphic by their category and empty by their definition: no property of Unicode says so."""


def kinds(icu: Any) -> Iterator[str]:
    """For each code point: ``v`` if it is shown, ``m`` if it is shown on another, else a space."""
    ignorable = icu.UProperty.DEFAULT_IGNORABLE_CODE_POINT
    category = icu.UCharCategory
    marks = {category.NON_SPACING_MARK, category.ENCLOSING_MARK, category.COMBINING_SPACING_MARK}
    invisible = {
        category.UNASSIGNED,
        category.SPACE_SEPARATOR,
        category.LINE_SEPARATOR,
        category.PARAGRAPH_SEPARATOR,
        category.CONTROL_CHAR,
        category.FORMAT_CHAR,
        category.PRIVATE_USE_CHAR,
        category.SURROGATE,
    }
    for point in range(0x110000):
        kind = icu.Char.charType(point)
        if point in BLANK:
            assert icu.Char.charName(point) == BLANK[point], hex(point)
        if kind in invisible or point in BLANK or icu.Char.hasBinaryProperty(point, ignorable):
            yield " "
        else:
            yield "m" if kind in marks else "v"


def main() -> None:
    import icu

    notice = NOTICE.format(icu=icu.ICU_VERSION, unicode=icu.UNICODE_VERSION)
    notice = notice.replace("record_names", "record_visible")
    write(
        "core/visible_characters.py",
        f'{notice}"""Which code points are shown as they are: for each run of them, its length and its kind.\n\n'
        '``v`` stands by itself, ``m`` stands on what is before it, and ``-`` is not shown.\n"""\n\n',
        {"RUNS": (f"{length:x}{kind.strip() or '-'}" for length, kind in runs(kinds(icu)))},
    )


if __name__ == "__main__":
    main()
