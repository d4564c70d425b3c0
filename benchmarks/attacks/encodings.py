"""Values that must not leave, in up to three encodings and another spelling.

Whoever can make a run or an outside system say something (a model, a tool, a customer) has it say a value in
a form that only looks like another text. The guard looks at a text as it reads; the twin at the text alone.
"""

import base64
import html
import json
import quopri
import shlex
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from random import Random
from urllib.parse import quote, urlencode

from agentflow.core.known_values import KnownValues
from agentflow.core.redaction import DROPPED, PATTERNS, redacted, replaced
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried

Encode = Callable[[str], str]

TWIN_SHARE = 4
"""One attempt in so many is made on the twin as well."""


def _of_all(form: Callable[[int], str]) -> Encode:
    return lambda text: "".join(form(ord(char)) for char in text)


def _of_digits(zero: int) -> Encode:
    return lambda text: "".join(chr(zero + int(char)) if char in string.digits else char for char in text)


def _base64(before: str, after: str = "", code: str = "utf-8") -> Encode:
    return lambda text: base64.b64encode(f"{before}{text}{after}".encode(code)).decode()


ENCODINGS: Mapping[str, Encode] = {
    "base64 of user:password": _base64("ann:"),
    "base64 behind other text": lambda text: "v1/" + _base64("a is ")(text),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"<<{text}>>".encode()).decode().rstrip("="),
    "base64 in lines": lambda text: base64.encodebytes(f"{', ' * 35}{text}{', ' * 35}".encode()).decode(),
    "base64 of UTF-16": _base64("echo user:", code="utf-16-le"),
    "hexadecimal": lambda text: f"ann:{text}".encode().hex(),
    "form": lambda text: urlencode({"q": f"{text} x"}),
    "URL": lambda text: quote(text, safe=""),
    "URL with slashes": quote,
    "all of a URL": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON": lambda text: json.dumps({"a": text}),
    "JSON in small escapes": _of_all(lambda point: f"\\u{point:04x}"),
    "HTML": lambda text: f"<p>{html.escape(text)}</p>",
    "HTML by number": _of_all(lambda point: f"&#{point};"),
    "HTML in hexadecimal": _of_all(lambda point: f"&#x{point:X};"),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda text: repr(text.encode()),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "shell": shlex.quote,
    "mail": lambda text: quopri.encodestring(f"Dear {text}, {text}".encode()).decode(),
}
"""How systems write a text within another; of characters up to U+FFFF."""
LOOKS: Mapping[str, Encode] = {
    "as it is": lambda text: text,
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "doubled spaces": lambda text: text.replace(" ", "  "),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "invisibles": "\u200b".join,
    "Arabic digits": _of_digits(0x660),
    "Devanagari digits": _of_digits(0x966),
}
"""How a value is written so that it reads the same."""
MARKED = (
    "Jürgen Weiß",
    "4711 Main/Street",
    'o\'hara "x" & co',
    "hunter2+secret/pw",
    "王小明的账户",
    "Иван Петров",
)
TOLD_BY_FORM = ("4111 1111 1111 1111", "zoe+x@example.org", "DE89 3704 0044 0532 0130 00", "078-05-1120")

_FINDERS = (KnownValues(dict.fromkeys(MARKED, "marked")).find, *PATTERNS)


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Have texts say values, each time in other encodings."""
    tally = Tally()
    for _ in range(attempts):
        form, text = _said(random)
        tally.count(_tried(form, text, redacted(f"it said {text} here", _FINDERS)))
    for _ in range(attempts // TWIN_SHARE):
        form, text = _said(random)
        said = f"it said {text} here"
        tally.count_twin(
            _tried(form, text, replaced(said, (found for find in _FINDERS for found in find(said))))
        )
    return tally


def _said(random: Random) -> tuple[str, str]:
    """How a value is encoded, and the text."""
    look = random.choice(list(LOOKS))
    text = LOOKS[look](random.choice([*MARKED, *TOLD_BY_FORM]))
    depth = random.randint(1, 3)
    for _ in range(depth):
        text = ENCODINGS[random.choice(list(ENCODINGS))](text)
    return f"{depth} deep, {look}", text


def _tried(form: str, text: str, left: str) -> Iterator[Tried]:
    """It got through if all of it is still there. One that is dropped as a whole is not told either."""
    breached = text in left and not left.startswith(DROPPED)
    yield Tried(form, breached, left)
