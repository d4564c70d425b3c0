"""Values that can be told by their form alone: cards, IBANs, social security numbers, addresses, keys.

Each pattern reads a text in time that grows as its length.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A part of a text that must not leave."""

    start: int
    end: int
    kind: str
    """What stands in its place, in brackets."""


# ISO/IEC 7812: 12 to 19 digits, the last of which is Luhn's; issuers of cards begin with 2 to 6.
_CARD = re.compile(r"[2-6](?<![\d.].)(?:[ +-]{0,2}\d){11,18}(?!\d)")

# ISO 13616. The length is the country's, since what follows may look like more of it.
# It is looked for by its check digits: there are fewer digits than letters.
_IBAN = re.compile(r"[0-9]{2}(?<=[A-Za-z]{2}..)(?:[ +]{0,2}[A-Za-z0-9]){11,30}")
_SPACED = re.compile(r"[ +]")
_IBAN_LENGTHS: dict[str, int] = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}

# As the Social Security Administration gives them: no area 000, 666 or 9xx, no group 00, no serial 0000.
# There is no check digit, so nine digits without separators are not taken for one.
_SSN = re.compile(r"[0-8](?<![\w-].)\d\d(?<!000)(?<!666)([-+ ]{1,2})(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")

# RFC 5322's dot-atom, in a domain with a dot.
_EMAIL = re.compile(r"(?<![\w.+'%-])[\w.+'%-]+@[\w-]+(?:\.[\w-]+)+")

# E.164 with its plus; numbers without a country look like any other.
_PHONE = re.compile(r"\+(?<![\w+]\+)[1-9](?:[ ().+-]{0,3}\d){7,14}(?!\d)")

# Keys that say whose they are, and tokens of JWT's form: how each begins, and goes on.
_SERVICES = (
    *((kind, r"[-_](?:[A-Za-z0-9]{2,12}[-_]){0,3}[A-Za-z0-9_-]{16,200}") for kind in ("sk", "rk", "pk")),
    *((f"gh{kind}_", r"[A-Za-z0-9]{36,255}") for kind in "pousr"),
    ("github_pat_", r"\w{22,255}"),
    ("glpat-", r"[\w-]{20,64}"),
    ("AKIA", r"[A-Z0-9]{16}"),
    ("ASIA", r"[A-Z0-9]{16}"),
    ("AIza", r"[\w-]{35}"),
    (r"ya29\.", r"[\w-]{20,500}"),
    ("xox", r"[abeoprs]-[A-Za-z0-9-]{10,250}"),
    ("whsec_", r"[A-Za-z0-9+/=]{16,100}"),
    ("npm_", r"[A-Za-z0-9]{36}"),
    ("pypi-", r"[\w-]{50,500}"),
    ("hf_", r"[A-Za-z0-9]{30,50}"),
    (r"SG\.", r"[\w-]{16,64}\.[\w-]{16,64}"),
    ("eyJ", r"[\w-]{8,4000}\.[\w-]{8,8000}\.[\w-]{0,2000}"),
)
# The engine skips to the letters that they begin with; so nothing may stand before these in the pattern.
_API_KEY = re.compile(
    "|".join(f"{begin}(?<![A-Za-z0-9]{begin}){rest}" for begin, rest in _SERVICES)
    # Private keys in PEM.
    + r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----END)[\s\S]){0,10000}"
    r"(?:-----END [A-Z ]{0,30}-----)?"
)
_PASSWORD_IN_URL = re.compile(r"://(?P<found>[^\s/:@]{1,200}:[^\s/@]{1,200})(?=@)")


def find_patterns(text: str) -> Iterator[Finding]:
    """All that the patterns find; findings may overlap."""
    for match in _CARD.finditer(text):
        if end := _card_end(match[0]):
            yield Finding(match.start(), match.start() + end, "card")
    yield from _ibans(text)
    # An address is where an @ is; all else is found faster by the engine.
    emails = (("email", _EMAIL),) if "@" in text else ()
    for kind, pattern in (("ssn", _SSN), *emails, ("phone", _PHONE), ("api_key", _API_KEY)):
        yield from (Finding(match.start(), match.end(), kind) for match in pattern.finditer(text))
    for match in _PASSWORD_IN_URL.finditer(text):
        yield Finding(*match.span("found"), "api_key")


def is_luhn(digits: str) -> bool:
    """Whether the last of some digits is their check digit, by Luhn's formula (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text without spaces, in capitals, is an IBAN: its country's length, and 1 modulo 97."""
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


def _card_end(candidate: str) -> int:
    """Where the longest card number that a candidate begins with ends; 0 if there is none."""
    ends = [place for place, character in enumerate(candidate, 1) if character.isdigit()]
    for end in reversed(ends):
        digits = "".join(filter(str.isdigit, candidate[:end]))
        if len(digits) >= 12 and is_luhn(digits):
            return end
    return 0


def _ibans(text: str) -> Iterator[Finding]:
    place = 0
    while match := _IBAN.search(text, place):
        start = match.start() - 2
        candidate = text[start : match.end()]
        length = _IBAN_LENGTHS.get(candidate[:2].upper(), 0)
        ends = [at for at, character in enumerate(candidate, 1) if character not in " +"]
        is_found = 0 < length <= len(ends) and is_iban(_SPACED.sub("", candidate[: ends[length - 1]]).upper())
        if is_found:
            place = start + ends[length - 1]
            yield Finding(start, place, "iban")
        else:
            # What it took in may have one further on.
            place = match.start() + 1
