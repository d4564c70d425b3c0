"""Whether a worker of the fleet wrote a record, for who has the fleet's keys."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agentflow.adapters.seal_keys import load_seal_keys
from agentflow.contracts.effects import StoredEffect
from agentflow.core.record_seals import is_sealed
from agentflow.core.seal import SealKeys

SEALS_VARIABLE = "AGENTFLOW_SEALS"

SealsFile = Annotated[
    Path | None,
    typer.Option(
        "--seals",
        metavar="FILE",
        help=f"The workers' keys for seals, if you have them; else {SEALS_VARIABLE}. They tell which records "
        "a worker wrote.",
    ),
]


def seal_keys(option: Path | None) -> SealKeys | None:
    """The fleet's keys: what the command line says, or the environment; ``None`` where nothing does.

    Raises:
        ConfigurationError: the file can't be read, or holds something else.
    """
    named = option or os.environ.get(SEALS_VARIABLE)
    return load_seal_keys(named) if named else None


def is_genuine(stored: StoredEffect, keys: SealKeys | None) -> bool | None:
    """Whether a worker wrote the record as it stands; ``None`` if that can't be told without keys."""
    return None if keys is None else is_sealed(stored, keys)


def written_by(stored: StoredEffect, keys: SealKeys | None) -> str:
    """Who wrote the record as it stands, in words."""
    match is_genuine(stored, keys):
        case True:
            return "a worker of this fleet"
        case False:
            return "no worker of this fleet: runs do not act on it, and ask a person"
        case None:
            return "not looked at: --seals FILE, with the workers' keys, tells"
