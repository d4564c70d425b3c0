"""Bundles of many runs: how long export and verification take, how large they are, and what escapes them.

``python -m benchmarks.audit``: runs of an agent that asks a model three times, reads, and writes after a
person allowed it, on a real server. They are exported with a replay of each, and verified with the runs'
keys; then the log is changed at random, at least 10,000 times (a bit of a record flipped, a record dropped,
inserted, copied, moved, swapped with another), and so is each kind of file, a bit at a time.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import AgentClient, AgentTask, tools_of
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.key_directory import KeyDirectory
from agentflow.audit.bundle import CONTENTS, DECISIONS
from agentflow.audit.chain import leaf_hash
from agentflow.audit.export import ExportSettings, export
from agentflow.audit.listing import listing_of
from agentflow.audit.log_check import check_lines, read_line
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import from_server
from agentflow.audit.signing import ExportSigner
from agentflow.audit.verify import verify
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from benchmarks.audit_agent import Treasurer
from benchmarks.command_line import add_json, machine, print_report, silence_agentflow
from benchmarks.traces.agent import Books

AT_ONCE = 32
WINDOW = 400
"""Records around a change that are looked at: the whole log would be read 10,000 times."""
BYTES_OF_A_FILE = 8
"""Places in each file at which a byte is changed."""


async def _one_run(agents: AgentClient, number: int) -> str:
    task = AgentTask(input=f"pay invoice {number}", requested_by="ops")
    run = await agents.start(Treasurer, task, task_queue="audit")
    while not (asked := (await agents.attention(run)).approvals):
        pass
    await agents.approve(run, asked[0].id, by="ann", reason="seen")
    outcome = await agents.result(run, str)
    assert outcome.status == "completed", outcome.reason
    return run


async def _made(agents: AgentClient, runs: int) -> list[str]:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with free:
            return await _one_run(agents, number)

    return list(await asyncio.gather(*map(one, range(runs))))


async def measured(runs: int, rounds: int, mutations: int, seed: int) -> dict[str, object]:
    """Make the runs, and bundles of them, and spoil these."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "books").mkdir()
        model = ScriptedModel([call("look", account="a"), call("note", text="paid"), answer("done")])
        async with DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES) as server:
            plugin = scripted_plugin(model, tools=tools_of(Books(place / "books")), directory=place)
            client = await Client.connect(server.address, plugins=[plugin])
            async with Worker(client, task_queue="audit", workflows=[Treasurer]):
                ids = await _made(AgentClient(client), runs)
            home, took = place / "home", Counter[str]()
            keys = KeyDirectory(home / "keys")
            signer = ExportSigner.load_or_make(home / "signing-key.pem")
            settings = ExportSettings(client.namespace, keys, signer, home / "last-export.json")
            exports: list[float] = []
            verifications: list[float] = []
            for number in range(rounds):
                bundle = place / f"bundle-{number}"
                began = time.perf_counter()
                manifest = await export(
                    from_server(client, [(run, None) for run in ids]),
                    bundle,
                    f"{runs} runs",
                    settings,
                    converter=client.data_converter,
                    replayed=ReplayedRuns([Treasurer], client.namespace),
                )
                exports.append(time.perf_counter() - began)
                assert manifest.gaps == 0, [run.gaps for run in manifest.runs]
                began = time.perf_counter()
                verdict = await verify(bundle, signer.public, keys)
                verifications.append(time.perf_counter() - began)
                assert verdict.ok, verdict.problems[:3]
                took["opened"] = verdict.opened
        chance = random.Random(seed)
        found, named = _log_mutations(bundle, mutations, chance)
        in_files, of_files = await _file_mutations(bundle, signer, chance)
        size = sum((bundle / name).stat().st_size for name in listing_of(bundle, (CONTENTS,)).files)
        return {
            "runs": runs,
            "export_s_per_10k": _per_10k(exports, runs),
            "verify_s_per_10k": _per_10k(verifications, runs),
            "mutations": mutations + of_files,
            "detected_share": (found + in_files) / (mutations + of_files),
            "bundle_kb_per_run": round(size / 1024 / runs, 2),
            "record_named_share": round(named / mutations, 4),
            "records": verdict.records,
            "contents_opened": took["opened"],
        }


def _per_10k(seconds: list[float], runs: int) -> float:
    return round(statistics.median(seconds) / runs * 10_000, 1)


def _log_mutations(bundle: Path, count: int, chance: random.Random) -> tuple[int, int]:
    """Changes to records: how many are found, and how many by their own number.

    Each is made in a stretch of the log, and held against the hashes that were signed for that stretch.
    """
    lines = (bundle / DECISIONS).read_bytes().splitlines()
    found = named = 0
    for _ in range(count):
        start = chance.randrange(max(1, len(lines) - WINDOW))
        stretch = lines[start : start + WINDOW]
        signed = [leaf_hash(line) for line in stretch]
        spoiled, places = _spoiled(stretch, chance)
        problems = list(check_lines([read_line(line) for line in spoiled], signed, DECISIONS))
        found += bool(problems)
        told = {int(problem.where.rsplit(" ", 1)[1]) for problem in problems}
        named += bool(told & places)
    return found, named


def _spoiled(lines: list[bytes], chance: random.Random) -> tuple[list[bytes], set[int]]:
    one, other = chance.sample(range(len(lines)), 2)
    spoiled = list(lines)
    match chance.choice(("edit", "drop", "insert", "copy", "move", "swap")):
        case "edit":
            byte = chance.randrange(len(lines[one]))
            changed = lines[one][byte] ^ (1 << chance.randrange(8))
            spoiled[one] = lines[one][:byte] + bytes([changed]) + lines[one][byte + 1 :]
        case "drop":
            del spoiled[one]
        case "insert":
            record = json.loads(lines[other])
            record["facts"]["by"] = "mallory"
            spoiled.insert(one, json.dumps(record, sort_keys=True, separators=(",", ":")).encode())
        case "copy":
            spoiled.insert(one, lines[other])
        case "move":
            spoiled.insert(other, spoiled.pop(one))
        case _:
            spoiled[one], spoiled[other] = lines[other], lines[one]
    return spoiled, {*range(min(one, other), max(one, other) + 1)}


async def _file_mutations(bundle: Path, signer: ExportSigner, chance: random.Random) -> tuple[int, int]:
    """A byte changed in a file, at several places: how many are found, of how many."""
    names = sorted(listing_of(bundle, (CONTENTS,)).files)
    # Of the contents, which are alike, some; all others.
    some = [name for name in names if "/" not in name] + chance.sample(
        [name for name in names if "/" in name], min(20, len(names) - 4)
    )
    found = tried = 0
    for name in some:
        whole = (bundle / name).read_bytes()
        for place in chance.sample(range(len(whole)), min(BYTES_OF_A_FILE, len(whole))):
            changed = whole[place] ^ (1 << chance.randrange(8))
            (bundle / name).write_bytes(whole[:place] + bytes([changed]) + whole[place + 1 :])
            tried += 1
            found += not (await verify(bundle, signer.public)).ok
        (bundle / name).write_bytes(whole)
    return found, tried


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3, help="of exporting and verifying")
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    add_json(parser)
    given = parser.parse_args()
    silence_agentflow()
    report = asyncio.run(measured(given.runs, given.rounds, given.mutations, given.seed))
    print_report({**report, **machine()}, as_json=given.json)
    return 0 if report["detected_share"] == 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
