"""Names of models: which one is another with its version, as providers add them.

A provider answers for ``gpt-4o`` as ``gpt-4o-2024-08-06``: that is the same model. ``gpt-4o-mini`` is not.
"""

import re
from collections.abc import Collection

_VERSION = re.compile(
    r"(?:[-@:.]v\d{1,2}(?::\d{1,2})?"  # -v1:0 (Bedrock)
    r"|:\d{1,2}"
    r"|-latest"
    r"|-00[1-9]"  # -001 (Google)
    r"|[-@](?P<date>\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{4}))\Z"
)
_YEARS = range(2019, 2100)
_MOST_SUFFIXES = 3
_PLACES = ("models/",)


def is_same_model(asked: str, answered: str, known_as: Collection[str] = ()) -> bool:
    """Whether a provider's name for the model that answered is of the one that was asked for.

    Args:
        asked: ``provider:model``.
        answered: The model's name as the provider gave it; nothing is as it was asked.
        known_as: Other names of the model, by the worker's configuration.
    """
    wanted, given = _plain(asked.partition(":")[2]), _plain(answered)
    if not given or given == wanted or given in {_plain(name) for name in known_as}:
        return True
    return given.startswith(wanted.removesuffix("-latest")) and wanted.removesuffix("-latest") in forms(given)


def forms(name: str) -> tuple[str, ...]:
    """The name, and what it is without each of the versions and dates at its end."""
    found = [name]
    for _ in range(_MOST_SUFFIXES):
        suffix = _VERSION.search(found[-1])
        if suffix is None or not suffix.start() or not _is_date(suffix["date"]):
            break
        found.append(found[-1][: suffix.start()])
    return tuple(found)


def _plain(name: str) -> str:
    lowered = name.strip().lower()
    for place in _PLACES:
        lowered = lowered.removeprefix(place)
    return lowered


def _is_date(text: str | None) -> bool:
    """Whether digits are a date: ``20250929``, ``2024-08-06``, ``08-2024``, ``05-20``, ``0613``, ``2411``."""
    digits = [int(part) for part in (text or "").split("-") if part]
    match digits, len(text or ""):
        case [], _:
            return True
        case [day], 8:
            dates = [(day // 10_000, day // 100 % 100, day % 100)]
        case [year, month, day], _:
            dates = [(year, month, day)]
        case [month, year], 7:
            dates = [(year, month, 1)]
        case [number], 4 if number != 1024:
            # 1024 is a size more often than a day of October.
            dates = [(2024, number // 100, number % 100), (2000 + number // 100, number % 100, 1)]
        case [first, second], _:
            dates = [(2024, first, second), (2000 + first, second, 1)]
        case _:
            return False
    return any(year in _YEARS and 1 <= month <= 12 and 1 <= day <= 31 for year, month, day in dates)
