"""Values of people who don't exist: each kind by its own form, valid where it has check digits."""

import random
from collections.abc import Callable
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits

from agentflow.core.patterns import is_iban, is_luhn

_FIRST = (
    "Anna",
    "Börje",
    "Chloé",
    "Dmitri",
    "Elif",
    "Farid",
    "Grace",
    "Hana",
    "Igor",
    "Jürgen",
    "Kwame",
    "Mei",
)
_SYLLABLES = ("an", "ber", "cor", "den", "el", "fal", "gor", "hol", "in", "jor", "kal", "lun", "mor", "nev")


def email(chance: random.Random) -> str:
    """An address."""
    return f"{_letters(chance, 7)}.{_letters(chance, 6)}+{_digits(chance, 3)}@{_letters(chance, 8)}.example"


def phone(chance: random.Random) -> str:
    """A number with its country."""
    country = chance.choice(["1", "44", "49", "81"])
    return f"+{country} ({_digits(chance, 3)}) {_digits(chance, 3)}-{_digits(chance, 4)}"


def national_phone(chance: random.Random) -> str:
    """A number without one."""
    return f"0{_digits(chance, 3)} {_digits(chance, 3)}{_digits(chance, 3)}"


def card(chance: random.Random) -> str:
    """A card's number, in groups of four or in one."""
    body = chance.choice("3456") + _digits(chance, 14)
    number = body + next(digit for digit in digits if is_luhn(body + digit))
    return " ".join(number[place : place + 4] for place in (0, 4, 8, 12)) if chance.random() < 0.5 else number


def iban(chance: random.Random) -> str:
    """An account's number."""
    country, length = chance.choice([("DE", 22), ("NL", 18), ("FR", 27), ("NO", 15)])
    body = _digits(chance, length - 4)
    return next(made for check in range(2, 99) if is_iban(made := f"{country}{check:02}{body}"))


def ssn(chance: random.Random) -> str:
    """A social security number."""
    return f"{chance.randint(100, 665)}-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}"


def api_key(chance: random.Random) -> str:
    """A key of some service."""
    anything = ascii_letters + digits
    forms: list[Callable[[], str]] = [
        lambda: "AKIA" + _of(chance, ascii_uppercase + digits, 16),
        lambda: "ghp_" + _of(chance, anything, 36),
        lambda: "sk_live_" + _of(chance, anything, 24),
        lambda: f"xoxb-{_digits(chance, 12)}-{_of(chance, anything, 24)}",
    ]
    return chance.choice(forms)()


def name(chance: random.Random) -> str:
    """A person's name."""
    last = "".join(chance.choice(_SYLLABLES) for _ in range(4)).capitalize()
    return f"{chance.choice(_FIRST)} {last}"


TAGGED: dict[str, Callable[[random.Random], str]] = {
    "email": email,
    "phone": phone,
    "card": card,
    "iban": iban,
    "ssn": ssn,
    "api_key": api_key,
    "name": name,
}
"""In fields whose types mark them."""
PATTERNED = {kind: TAGGED[kind] for kind in ("email", "phone", "card", "iban", "ssn", "api_key")}
"""In free text, told by their form."""
FREE = {"name": name, "national_phone": national_phone}
"""In free text, told by nothing."""


def _of(chance: random.Random, alphabet: str, count: int) -> str:
    return "".join(chance.choice(alphabet) for _ in range(count))


def _letters(chance: random.Random, count: int) -> str:
    return _of(chance, ascii_lowercase, count)


def _digits(chance: random.Random, count: int) -> str:
    return _of(chance, digits, count)
