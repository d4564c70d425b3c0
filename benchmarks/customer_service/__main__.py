"""``python -m benchmarks.customer_service --data COPY``, of github.com/sierra-research/tau-bench (MIT)."""

import argparse
import sys
from pathlib import Path

import benchmarks.customer_service
from benchmarks.command_line import add_json, machine, print_report, teller
from benchmarks.customer_service.measure import measure


def main() -> int:
    """Replay the tasks, print what came of them, and answer the exit code."""
    given = _parser().parse_args()
    try:
        found = measure(given.data, teller())
    except FileNotFoundError as error:
        print(f"{given.data} is no copy of tau-bench: {error}", file=sys.stderr)
        return 2
    print_report({**found, **machine()}, as_json=given.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.customer_service", description=benchmarks.customer_service.__doc__
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="COPY",
        help="a copy of github.com/sierra-research/tau-bench that you trust: its tools are run",
    )
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
