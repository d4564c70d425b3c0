"""Kinds of values: what a value is, by its form and by the name of its field.

Each kind has a rule of its own of what counts as evidence (``core.trusted_source``), since what a short value
is worth depends on what it is: ``Li`` after somebody's first name is a surname, and ``is`` is a word.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from agentflow.core.amounts import MIN_DIGITS, is_money
from agentflow.core.dates import as_date, as_moment
from agentflow.core.leaves import Leaf, canonical

Kind = Literal["id", "code", "name", "money", "number", "date", "text"]
"""``id``: letters and digits. ``code``: a few capitals, as of a state. ``name``: a person's first or last.
``money``: a number in a field of money. ``date``: a day, or a day and a time. Else ``number`` or ``text``."""

MIN_TEXT = 3
"""A shorter text is anywhere, and is no evidence by itself."""

_ID = re.compile(r"(?=[^\d]*\d)[A-Za-z0-9_-]+", re.ASCII)
"""Of letters and digits, with a digit at least."""
_CODE = re.compile(r"[A-Z]{2,3}", re.ASCII)
_NAME = re.compile(r"[A-Z][A-Za-z'-]*", re.ASCII)
_WORDS = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)+", re.ASCII)
_MIN_WORDS = 8

GIVEN_NAMES = frozenset(("first name", "given name", "forename", "firstname", "givenname"))
FAMILY_NAMES = frozenset(("last name", "family name", "surname", "lastname", "familyname"))
_CODES = frozenset(["state", "province", "region", "country"])
POSTAL_CODES = frozenset(("zip", "zipcode", "zip code", "postcode", "post code", "postal code", "postalcode"))
CITIES = frozenset(("city", "town"))
_TITLES = frozenset(("title", "subject", "summary", "description", "heading", "topic", "caption", "label"))


@lru_cache(maxsize=4_096)
def words_of(field: str) -> tuple[str, ...]:
    """The words of a field's name, in small letters: ``lastName`` and ``last_name`` are the same."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", field[:200]))


def kind_of(leaf: Leaf) -> Kind:
    """What a value is."""
    value, words = leaf.value, words_of(leaf.field)
    if is_money(words) and (isinstance(value, Decimal) or value.isdigit()):
        return "money"
    if isinstance(value, Decimal):
        return "number"
    if as_date(value) or as_moment(value):
        return "date"
    if is_id(value):
        return "number" if value.isdigit() and len(value) < MIN_DIGITS else "id"
    if _CODE.fullmatch(value) and words and (words[-1] in _CODES or words[-1] == "code"):
        return "code"
    is_name = " ".join(words) in GIVEN_NAMES | FAMILY_NAMES
    return "name" if is_name and _NAME.fullmatch(value) else "text"


def is_id(value: str) -> bool:
    """Whether a text is of letters and digits only, with a digit at least."""
    return _ID.fullmatch(value) is not None


def is_telling(value: str | Decimal) -> bool:
    """Whether a value is evidence wherever it stands as a word of its own: few other words are the same."""
    text = canonical(value)
    return len(text) >= (MIN_DIGITS if text.isdigit() else MIN_TEXT) and "\0" not in text


def is_title(leaf: Leaf) -> bool:
    """Whether a value is a title of several plain words, so that it says the same in other capitals.

    Nothing else is: accounts, recipients and secrets may differ by their capitals.
    """
    value = leaf.value
    if not isinstance(value, str) or len(value) < _MIN_WORDS or not _WORDS.fullmatch(value):
        return False
    words = words_of(leaf.field)
    return bool(words) and words[-1] in _TITLES
