"""``python -m benchmarks.agentdojo``."""

import argparse
import asyncio
import logging
import platform
import sys
import warnings

import benchmarks.agentdojo
from benchmarks.agentdojo.measure import measure
from benchmarks.command_line import add_json, print_report, some_of, teller

SUITES = ("workspace", "travel", "banking", "slack")


def main() -> int:
    """Run the suites, print what came of them, and answer the exit code."""
    given = _parser().parse_args()
    # AgentDojo's own imports warn of themselves, and each refusal is a line of the worker's log.
    warnings.filterwarnings("ignore")
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    tell = teller()
    try:
        found = asyncio.run(measure(given.suites, given.concurrency, tell, attacks=not given.no_attacks))
    except KeyboardInterrupt:
        return 130
    report = {**found, "python": platform.python_version()}
    print_report(report, as_json=given.json)
    return 1 if found["unauthorised_writes"] or found["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agentdojo", description=benchmarks.agentdojo.__doc__
    )
    parser.add_argument(
        "--suites", type=some_of(SUITES), default=list(SUITES), help="with commas; all by default"
    )
    parser.add_argument("--concurrency", type=int, default=20, help="runs at a time")
    parser.add_argument("--no-attacks", action="store_true", help="only the user tasks, alone")
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
