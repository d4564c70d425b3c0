"""Texts as they are compared: what reads the same is the same."""

import re
import unicodedata
from functools import lru_cache

from agentflow.core.views import View
from agentflow.core.visible import has_shape

_SPACE = re.compile(r"\s")
_SPACES = re.compile(r" {2,}")
_BLANKS = re.compile(r"[\s+]+")


def normalised(view: View) -> View:
    """The view in Unicode's form NFKC, with digits of ASCII, and without what can't be seen.

    Letters that have no capital or small letter of one character are two: ``ß`` is ``ss``.
    """
    if view.text.isascii():
        return view
    characters = {char for char in view.text if not char.isascii()}
    plain = {char: _plain(char) for char in characters}
    if all(len(new) == 1 for new in plain.values()) and not any(map(_joins, characters)):
        return view.same_length(view.text.translate(str.maketrans(plain)))
    joining = "".join(re.escape(char) for char in characters if _joins(char) or not plain[char])
    others = f"[^\x00-\x7f{joining}]" if joining else "[^\x00-\x7f]"
    # A character with all that joins it; of ASCII, only where something does.
    clusters = rf"{others}[{joining}]*|[\x00-\x7f]?[{joining}]+" if joining else others
    return view.replaced(re.compile(clusters), lambda match: _composed(match[0]))


def folded(view: View) -> View:
    """A normalised view in small letters, with one plain space for all between two words."""
    small = view.text.casefold()
    if len(small) != len(view.text):
        small = "".join(char.casefold() if len(char.casefold()) == 1 else char for char in view.text)
    view = view.same_length(_SPACE.sub(" ", small))
    return view.replaced(_SPACES, lambda _: " ") if "  " in view.text else view


def without_plus(view: View) -> View:
    """A folded view in which a plus is a space, as in forms. What has a plus is found as what has a space."""
    return view.replaced(_BLANKS, lambda _: " ") if "+" in view.text else view


def as_folded(text: str) -> str:
    """A text as ``folded`` makes it."""
    return folded(normalised(View(text))).text


def _composed(cluster: str) -> str:
    whole = unicodedata.normalize("NFKC", "".join(map(_seen, cluster)))
    return "".join(map(_plain, whole))


@lru_cache(maxsize=16_384)
def _plain(char: str) -> str:
    """A character as it is compared; nothing where it can't be seen."""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    plain = unicodedata.normalize("NFKC", _seen(char))
    folds = plain.casefold()
    return unicodedata.normalize("NFKC", folds) if len(folds) != len(plain) else plain


@lru_cache(maxsize=16_384)
def _seen(char: str) -> str:
    kind = unicodedata.category(char)
    # Letters and marks have a shape, but for those that Unicode says are seen as nothing.
    return "" if kind == "Cf" or (kind[0] in "LM" and not has_shape(char)) else char


@lru_cache(maxsize=16_384)
def _joins(char: str) -> bool:
    """Whether a character may become one with those before it."""
    return unicodedata.category(char)[0] == "M" or "\u1160" <= char <= "\u11ff"
