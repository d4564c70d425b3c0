r"""Patterns: regular expressions of schemas against texts that they almost match.

A schema comes from a tool's author or an imported document, the text from a model. A naive engine takes
exponential time for some pairs, a linear one as much as the pattern has states for each byte. An attempt
gets through if it takes too long, ends in an error, if a pattern that can't be tested is taken all the same,
or if a text passes that doesn't match. The twin is Python's ``re``, broken off.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from agentflow.contracts.wire import Json
from agentflow.core.schema import compile_schema
from agentflow.errors import ConfigurationError
from benchmarks.attacks.interrupted import Stopwatch, TooSlowError, broken_off
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried

TWIN_SHARE = 25
ATOMS = ("x", r"\d", r"\w", "[a-z]", ".", "é", r"\u00e9", r"[^@]", r"[\w.-]", "(?:x|é)", r"\u{e9}", r"\p{L}")
UNTAKEN: Sequence[str] = (
    *("^(?=x)x*y$", "^(?!z)x*y$", "^x*(?<=x)y$", "^x*(?<!z)y$", r"^(x+)\1+y$", r"^(?<a>x+)\k<a>y$"),
    *(
        "^(?>x+)y$",
        "^x++y$",
        "^x**y$",
        "^(x+y$",
        "^[x+y$",
        "^x{2}{3}y$",
        "^x\\",
        r"^\ud800y$",
        r"^\p{Nope}y$",
    ),
    *("(" * 2_000 + "x" + ")" * 2_000, "x" * 5_001, "(((x{999}){999}){999}){9}", r"^\qy$", "^(?#x)y$"),
)
"""None of them can be tested in linear time, or is a pattern: they must be refused when they are given."""
LENGTHS = (35, 100, 1_000, 10_000, 50_000, 50_000)
UNITS = ("x", "1", "é", "x ", "xx1", "a.b-", "\u0661", "\U0001f600", "x@x.")

Place = Callable[[str, str], tuple[dict[str, Json], Json]]
PLACES: Mapping[str, Place] = {
    "value": lambda pattern, text: ({"pattern": pattern}, text),
    "property": lambda pattern, text: ({"properties": {"a": {"pattern": pattern}}}, {"a": text}),
    "name": lambda pattern, text: (
        {"patternProperties": {pattern: {}}, "additionalProperties": False},
        {text: 1},
    ),
    "names": lambda pattern, text: ({"propertyNames": {"pattern": pattern}}, {text: 1, "y": 2}),
    "items": lambda pattern, text: ({"items": {"pattern": pattern}}, [text] * 20),
    "alternatives": lambda pattern, text: ({"anyOf": [{"pattern": pattern}] * 20}, text),
    "definition": lambda pattern, text: (
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"pattern": pattern}]}}},
        text,
    ),
}


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Check texts against schemas, as catalogues and tools do: no server is needed."""
    del stage
    tally = Tally()
    for _ in range(attempts):
        tally.count(_tried(random))
    for _ in range(max(attempts // TWIN_SHARE, 16)):
        tally.count_twin(_twin(random))
    return tally


def _tried(random: Random) -> Iterator[Tried]:
    place = random.choice(list(PLACES))
    is_taken = random.random() < 0.9
    pattern = _pattern(random) if is_taken else random.choice(UNTAKEN)
    schema, value = PLACES[place](pattern, _text(random, pattern))
    watch = Stopwatch()
    try:
        problem = _problem(schema, value, is_taken=is_taken)
    except Exception as error:
        problem = f"raised {type(error).__name__}"
    problem = watch.too_slow() or problem
    yield Tried(place if is_taken else "refused", problem is not None, f"{problem}: {pattern[:200]}")


def _problem(schema: dict[str, Json], value: Json, *, is_taken: bool) -> str | None:
    try:
        check = compile_schema(schema, "a schema")
    except ConfigurationError:
        return None
    if not is_taken:
        return "was taken"
    return "a text passed that doesn't match" if check(value) is None else None


def _twin(random: Random) -> Iterator[Tried]:
    # As an author for Python's engine would spell it.
    pattern = re.sub(r"\\p\{L\}|\\u\{e9\}", r"\\w", _pattern(random))
    pattern = pattern.replace("(?<of>", "(").replace("(?i)", "")
    text = _text(random, pattern)
    try:
        with broken_off():
            breached = re.search(pattern, text) is not None
    except TooSlowError:
        breached = True
    yield Tried("pattern", breached)


def _pattern(random: Random) -> str:
    """A pattern that ends in a ``y``, mostly at the end of the text."""
    one, other = random.choice(ATOMS), random.choice(ATOMS)
    few, many = random.randint(2, 30), random.choice([20, 100, 1_000, 3_000, 3_000])
    inner = random.choice(
        [
            f"({one}+)+",
            f"({one}+{other}+)+",
            f"({one}*)*",
            f"({one}|{other})*",
            f"({one}|{one}{one})+",
            rf"({one}+\s?)*",
            f"({one}?){{{few}}}{one}{{{few}}}",
            f"{one}*" * few,
            f"{one}{{0,{many}}}{other}{{0,{many}}}",
            f"({one}{{0,{few}}}{other}?){{1,{few}}}",
            f"(({one}{{0,{few}}}){{0,{few}}}){{0,{few}}}",
            f"(?<of>({one}+|{other}){{2,}})*",
            f"({one}.{{0,{many}}}{other})+",
            f"(?i)({one}+)*",
            rf"({one}{{0,100}}\s?){{{few}}}",
            f"{one}{{0,{many}}}",
            f"({one}?{other}?){{{many}}}",
        ]
    )
    # An engine may look at the end first, or for a letter that there must be: not for one of two.
    return random.choice(["^", "", "^.*"]) + inner + random.choice(["y$", "[yY]"])


def _text(random: Random, pattern: str) -> str:
    """A text that has all but the ``y``, or the end after it."""
    length, unit = random.choice(LENGTHS), random.choice(UNITS)
    text = (unit * length)[:length]
    if random.random() < 0.3:
        place = random.randrange(length)
        text = text[:place] + random.choice(["y", "@", "\n", "\u2028", "\ud800"]) + text[place:]
    text += random.choice(["!", "z", "y\n", "y!", "\u00fd"])
    return text if pattern.endswith("y$") else text.replace("y", "-")
