"""``python -m benchmarks.engine``."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.engine.measure import Round, measure
from benchmarks.engine.stage import on_stage

ARMS = ("naive", "minimal", "minimal_local", "agentflow", "agentflow_local")


async def _run(arms, turns, runs, concurrency, rounds):
    results: dict[str, list[Round]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory(prefix="agentflow-engine-") as directory:
        async with on_stage(Path(directory), {arm: 1 for arm in arms}) as stage:
            for number in range(rounds + 1):
                for arm in arms:
                    size = 2 if number == 0 else runs
                    result = await measure(stage, arm, turns=turns, runs=size, concurrency=concurrency)
                    if number:
                        results[arm].append(result)
                        print(
                            number,
                            arm,
                            {k: round(v, 2) for k, v in asdict(result).items()},
                            file=sys.stderr,
                            flush=True,
                        )
    return results


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arms", default=",".join(ARMS))
    given = parser.parse_args()
    results = asyncio.run(
        _run(given.arms.split(","), given.turns, given.runs, given.concurrency, given.rounds)
    )
    medians = {
        arm: {k: round(statistics.median(getattr(r, k) for r in rs), 2) for k in asdict(rs[0])}
        for arm, rs in results.items()
    }
    for arm, m in medians.items():
        print(f"{arm:16}", m)
    return 0


if __name__ == "__main__":
    sys.exit(main())
