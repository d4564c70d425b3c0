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
from benchmarks.chaos.driver import ChaosOptions, run_chaos
from benchmarks.chaos.ledgers import LedgerKind
from benchmarks.command_line import add_json, teller


def main() -> int:
    """Make a chaos run, print what came of it, and answer the exit code."""
    given = _parser().parse_args()
    options = ChaosOptions(
        runs=given.runs,
        seed=given.seed,
        workers=given.workers,
        ledger=given.ledger,
        server_kills=max(1, given.runs // 75),
        cancelled=given.cancelled,
        deadline=timedelta(seconds=given.deadline),
    )
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
    return 0 if report.is_clean or options.ledger == "off" else 1


def _parser() -> argparse.ArgumentParser:
    defaults = ChaosOptions()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=benchmarks.chaos.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=defaults.runs)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--workers", type=int, default=defaults.workers, help="worker processes")
    parser.add_argument("--ledger", choices=get_args(LedgerKind), default=defaults.ledger)
    parser.add_argument("--cancelled", type=float, default=0.0, help="share of the runs that are cancelled")
    parser.add_argument("--deadline", type=float, default=defaults.deadline.total_seconds(), help="seconds")
    parser.add_argument("--keep", action="store_true", help="keep databases and logs")
    add_json(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
