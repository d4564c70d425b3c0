"""``python -m benchmarks.deploys``."""

import argparse
import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from temporalio.runtime import Runtime

import benchmarks.deploys
from agentflow.adapters.dev_server import DevServer
from agentflow.cli.connection import silent_runtime
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from benchmarks.command_line import (
    add_json,
    machine,
    positive_int,
    print_report,
    silence_agentflow,
    some_of,
    teller,
)
from benchmarks.deploys.changes import CHANGES
from benchmarks.deploys.deploying import deploy
from benchmarks.deploys.states import STATES, State
from benchmarks.deploys.twins import TWIN_CHANGES, TWIN_PATIENCE, unpinned
from benchmarks.deploys.verdict import FAULTS, MODES, Cell

ENOUGH = 100
"""Cells that the whole matrix has at least."""


def main() -> int:
    """Deploy, print what came of it, and answer the exit code: 1 for any fault, or a twin without one."""
    given = _parser().parse_args()
    logging.disable(logging.CRITICAL)
    silence_agentflow()
    began = time.monotonic()
    pairs = [(change, mode) for change in given.changes for mode in given.modes]
    if given.sample:
        pairs = Random(given.seed).sample(pairs, min(given.sample, len(pairs)))
    cells, twins = asyncio.run(
        _deployed(pairs, lambda change, mode: _states_of(change, mode, given), given.at_once, teller())
    )
    report = {
        **_summary(cells),
        "twin_cells": len(twins),
        "twin_wrong": sum(bool(cell.wrong) for cell in twins),
        "twin_nondeterminism": sum("nondeterminism" in cell.wrong for cell in twins),
        "changes": _rows(cells),
        "examples": _examples(cells),
        "seconds": round(time.monotonic() - began, 1),
        **machine(),
    }
    print_report(report, as_json=given.json)
    is_whole = not given.sample and pairs == [(change, mode) for change in CHANGES for mode in MODES]
    is_blind = not report["twin_nondeterminism"]
    has_fault = any(report[fault] for fault in FAULTS)
    return 1 if has_fault or is_blind or (is_whole and len(cells) < ENOUGH) else 0


async def _deployed(
    pairs: Sequence[tuple[str, str]],
    states_of: Callable[[str, str], Sequence[State]],
    at_once: int,
    tell: Callable[[str], None],
) -> tuple[list[Cell], list[Cell]]:
    free, runtime = asyncio.Semaphore(at_once), silent_runtime()

    async def one(server: DevServer, name: str, mode: str) -> list[Cell]:
        async with free:
            cells = await deploy((server.address, runtime), CHANGES[name], mode, states_of(name, mode))
        tell(f"{name}, {mode}: {len(cells)} runs, {sum(bool(cell.wrong) for cell in cells)} of them wrong")
        for cell in cells:
            for fault, said in cell.wrong.items():
                tell(f"  {cell.state}: {fault}: {'; '.join(said)}")
        return cells

    async with DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES, log_level="never") as server:
        found = await asyncio.gather(*(one(server, name, mode) for name, mode in pairs))
        twins = await _twins((server.address, runtime))
        tell(f"without pinning: {len(twins)} runs, {sum(bool(cell.wrong) for cell in twins)} of them wrong")
    return [cell for cells in found for cell in cells], twins


async def _twins(stage: tuple[str, Runtime]) -> list[Cell]:
    """What a deploy does to runs that aren't pinned."""
    states = [state for state in STATES.values() if not state.people]
    with unpinned():
        found = await asyncio.gather(
            *(
                deploy(stage, CHANGES[name], "new only", states, patience=TWIN_PATIENCE)
                for name in TWIN_CHANGES
            )
        )
    return [cell for cells in found for cell in cells]


def _states_of(change: str, mode: str, given: argparse.Namespace) -> list[State]:
    """The states for a change and a mode: all that were asked for, or else every second one in turn.

    So each change meets each state in one mode at least, and each mode each state.
    """
    if given.whole or given.states:
        return [STATES[name] for name in given.states or STATES]
    turn = list(CHANGES).index(change) + MODES.index(mode)
    return [state for place, state in enumerate(STATES.values()) if (place + turn) % 2 == 0]


def _summary(cells: Sequence[Cell]) -> dict[str, int]:
    """How many cells there are, how many runs both releases had, and how many cells have each fault."""
    both = sum(len(cell.workers) > 1 for cell in cells)
    return {
        "cells": len(cells),
        "had_by_both": both,
        **{fault: sum(fault in cell.wrong for cell in cells) for fault in FAULTS},
    }


def _rows(cells: Sequence[Cell]) -> dict[str, dict[str, int]]:
    """By kind of change: cells, and faults where there are any."""
    rows: dict[str, Counter[str]] = {}
    for cell in cells:
        row = rows.setdefault(cell.change, Counter())
        row["cells"] += 1
        row.update(cell.wrong.keys())
    return {name: dict(row) for name, row in rows.items()}


def _examples(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    wrong = [cell for cell in cells if cell.wrong]
    return [
        {"change": cell.change, "state": cell.state, "mode": cell.mode, **cell.wrong} for cell in wrong[:50]
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deploys", description=benchmarks.deploys.__doc__
    )
    parser.add_argument("--changes", type=some_of(list(CHANGES)), default=list(CHANGES))
    parser.add_argument("--states", type=some_of(list(STATES)), help="these, for each change and mode")
    parser.add_argument("--whole", action="store_true", help="each state for each change and mode")
    parser.add_argument("--modes", type=some_of(MODES), default=list(MODES))
    parser.add_argument("--sample", type=positive_int, help="so many pairs of a change and a mode")
    parser.add_argument("--seed", type=positive_int, default=1, help="of the sample")
    parser.add_argument("--at-once", type=positive_int, default=8, help="pairs deployed at the same time")
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
