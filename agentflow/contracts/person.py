"""Names of people, roles, tenants and agents: what may be in one.

A name that looks like another must not be one more person. What can't be seen, or means nothing yet, is
refused where a name enters; ``core.person`` compares the rest.
"""

from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from typing import Annotated

from pydantic import AfterValidator, Field

from agentflow.contracts import refused_in_names

MAX_NAME = 200
"""Characters."""

REPERTOIRE = "14.0"
"""The version of Unicode whose characters may be in a name: the oldest that agentflow's Pythons have. What is
younger would compare differently on different workers."""

_KINDS = {
    "-": None,
    "c": "a control character",
    "f": "an invisible format character",
    "i": "an invisible (default-ignorable) character",
    "l": "a line or paragraph separator",
    "n": "a noncharacter",
    "p": "a private-use character",
    "s": "a surrogate",
    "u": f"not assigned in Unicode {REPERTOIRE}",
    "y": "a symbol",
}
_RUNS = tuple((int(run[:-1], 16), _KINDS[run[-1]]) for run in refused_in_names.RUNS.split())
_ENDS = tuple(accumulate(length for length, _ in _RUNS))


def fault_of(name: str) -> str | None:
    """What is wrong with a name, as half a sentence; ``None`` where nothing is."""
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters, more than {MAX_NAME}"
    if not (name.isascii() and name.isprintable()):
        for at, char in enumerate(name, 1):
            if kind := refused_as(char):
                return f"has U+{ord(char):04X} as character {at}, which is {kind}"
    return None if name.strip() else "is empty"


def refused_as(char: str) -> str | None:
    """Why a character is in no name, as a noun; ``None`` where it may be."""
    return _RUNS[bisect(_ENDS, ord(char))][1]


@lru_cache(maxsize=4096)
def checked(name: str) -> str:
    """The name.

    Raises:
        ValueError: it can't be one; the text names the code point.
    """
    if fault := fault_of(name):
        raise ValueError(f"the name {fault}")
    return name


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(checked)]
"""A person's, a role's, a tenant's or an agent's: no character in it that can't be seen."""
