"""``python -m benchmarks.attacks``."""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from random import Random

import benchmarks.attacks
from benchmarks.attacks import (
    bills,
    bundles,
    claims,
    delays,
    doors,
    encodings,
    endings,
    hidden,
    misspelt,
    patterns,
    plugged,
    raw_arguments,
    reports,
    shown,
    sizes,
    spellings,
)
from benchmarks.attacks.stage import Stage, staged
from benchmarks.attacks.tried import Tally
from benchmarks.command_line import add_json, machine, positive_int, print_report, silence_agentflow

Family = Callable[[Stage, Random, int], Awaitable[Tally]]

FAMILIES: Mapping[str, tuple[Family, float]] = {
    "doors": (doors.attack, 2.2),
    "spellings": (spellings.attack, 1.4),
    "claims": (claims.attack, 1.4),
    "delays": (delays.attack, 0.6),
    "plugged": (plugged.attack, 0.4),
    "misspelt": (misspelt.attack, 1.5),
    "reports": (reports.attack, 0.75),
    "endings": (endings.attack, 0.75),
    "raw_arguments": (raw_arguments.attack, 1.6),
    "bills": (bills.attack, 1.2),
    "bundles": (bundles.attack, 2.0),
    "hidden": (hidden.attack, 4.0),
    "encodings": (encodings.attack, 2.6),
    "patterns": (patterns.attack, 0.6),
    "sizes": (sizes.attack, 0.6),
    "shown": (shown.attack, 1.0),
}
"""Each with its share of the attempts."""


def main() -> int:
    """Attack, print what came of it, and answer the exit code: 1 for a breach, or a twin without one."""
    given = _parser().parse_args()
    logging.disable(logging.CRITICAL)
    silence_agentflow()
    began = time.monotonic()
    families = given.only or list(FAMILIES)
    tallies = asyncio.run(_attacked(families, given))
    report = {
        "attempts": sum(tally.attempts for tally in tallies.values()),
        "breaches": sum(tally.breaches for tally in tallies.values()),
        "twin_breaches": sum(tally.twin_breaches for tally in tallies.values()),
        "families": {name: tally.report() for name, tally in tallies.items()},
        "examples": [example for tally in tallies.values() for example in tally.examples[:5]],
        "seed": given.seed,
        "seconds": round(time.monotonic() - began, 1),
        **machine(),
    }
    print_report(report, as_json=given.json)
    blind = [name for name, tally in tallies.items() if not tally.twin_breaches]
    return 1 if report["breaches"] or blind else 0


async def _attacked(families: list[str], given: argparse.Namespace) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    shares = sum(FAMILIES[name][1] for name in families)
    async with staged() as stage:
        for name in families:
            family, share = FAMILIES[name]
            attempts = given.each or max(round(given.attempts * share / shares), 1)
            # Each family has a seed of its own: one of them alone does what it does among all.
            tallies[name] = await family(stage, Random(f"{given.seed}/{name}"), attempts)
    return tallies


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attacks", description=benchmarks.attacks.__doc__
    )
    parser.add_argument("--attempts", type=positive_int, default=22_600)
    parser.add_argument("--each", type=positive_int, help="attempts of each family, in place of its share")
    parser.add_argument("--seed", type=positive_int, default=1, help="the same attacks again")
    parser.add_argument(
        "--only", action="append", choices=list(FAMILIES), help="a family; may be given several times"
    )
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
