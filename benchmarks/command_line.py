"""What the benchmarks' commands have in common: ``--json``, numbers and names as arguments, the report."""

import argparse
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let a command be asked for JSON."""
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")


def positive_int(text: str) -> int:
    """A whole number from 1 on, as the type of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def some_of(choices: Collection[str]) -> Callable[[str], list[str]]:
    """Names with commas between them, as the type of an argument."""

    def named(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in choices]:
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(unknown)}; there are {', '.join(choices)}"
            )
        return names

    return named


def teller() -> Callable[[str], None]:
    """Tells people how far it is, on standard error, with the seconds since this was called."""
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)

    return tell


def silence_agentflow() -> None:
    """Log nothing of agentflow's below what is critical: refusals are what many benchmarks are about."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {"cores": os.cpu_count(), "python": platform.python_version()}


def print_report(report: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the figures as JSON: in one line for programs, indented for people."""
    print(json.dumps(report, indent=None if as_json else 2))
