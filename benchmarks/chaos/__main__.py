"""``python -m benchmarks.chaos``."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import get_args

import benchmarks.chaos
from benchmarks.chaos.driver import run_chaos
from benchmarks.chaos.ledgers import WorldName
from benchmarks.chaos.options import ChaosOptions
from benchmarks.chaos.scenarios import SCENARIO_NAMES
from benchmarks.command_line import add_json, positive_int, some_of, teller


def main() -> int:
    """Make a chaos run, print what came of it, and answer the exit code."""
    given = _parser().parse_args()
    options = ChaosOptions(
        runs=given.runs,
        seed=given.seed,
        worlds=tuple(given.world),
        scenarios=tuple(given.scenario),
        cancelled=given.cancelled,
        deadline=timedelta(seconds=given.deadline),
    )
    if options.runs < len(options.worlds):
        print(f"{options.runs} runs are too few for {len(options.worlds)} worlds", file=sys.stderr)
        return 2
    tell = teller()
    directory = Path(tempfile.mkdtemp(prefix="agentflow-chaos-"))
    keep: bool = given.keep
    try:
        report = asyncio.run(run_chaos(options, directory, tell))
        keep = keep or not report.is_clean
    except KeyboardInterrupt:
        return 130
    except BaseException:
        keep = True
        raise
    finally:
        if keep:
            tell(f"databases, logs and evidence are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(report.model_dump_json(indent=None if given.json else 2))
    return 0 if report.is_clean or options.worlds == ("off",) else 1


def _parser() -> argparse.ArgumentParser:
    defaults = ChaosOptions()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=benchmarks.chaos.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    worlds, scenarios = some_of(get_args(WorldName)), some_of(SCENARIO_NAMES)
    parser.add_argument("--runs", type=positive_int, default=defaults.runs, help="in all worlds together")
    parser.add_argument("--world", type=worlds, default=defaults.worlds, help="some, with commas between")
    parser.add_argument("--scenario", type=scenarios, default=defaults.scenarios, help="some, likewise")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--cancelled", type=float, default=0.0, help="share of the plain runs")
    seconds = defaults.deadline.total_seconds()
    parser.add_argument("--deadline", type=float, default=seconds, help="seconds for the runs of a world")
    parser.add_argument("--keep", action="store_true", help="keep databases and logs")
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
