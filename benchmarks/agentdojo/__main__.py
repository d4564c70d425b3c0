"""``python -m benchmarks.agentdojo``."""

import argparse
import asyncio
import json
import logging
import platform
import sys
import time
import warnings

import benchmarks.agentdojo
from benchmarks.agentdojo.measure import measure

SUITES = ("workspace", "travel", "banking", "slack")


def main() -> int:
    """Run the suites, print what came of them, and answer the exit code."""
    given = _parser().parse_args()
    # AgentDojo's own imports warn of themselves, and each refusal is a line of the worker's log.
    warnings.filterwarnings("ignore")
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)

    try:
        found = asyncio.run(measure(given.suites, given.concurrency, tell, attacks=not given.no_attacks))
    except KeyboardInterrupt:
        return 130
    report = {**found, "python": platform.python_version()}
    print(json.dumps(report, indent=None if given.json else 2))
    return 1 if found["unauthorised_writes"] or found["failed"] else 0


def _suites(text: str) -> list[str]:
    if unknown := [name for name in text.split(",") if name not in SUITES]:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(SUITES)}")
    return text.split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agentdojo", description=benchmarks.agentdojo.__doc__
    )
    parser.add_argument("--suites", type=_suites, default=list(SUITES), help="with commas; all by default")
    parser.add_argument("--concurrency", type=int, default=20, help="runs at a time")
    parser.add_argument("--no-attacks", action="store_true", help="only the user tasks, alone")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
