"""Bundles: whoever has an audit bundle in hand edits a file of it, a link or a folder, in any of its forms.

Each attempt is one edit, by byte or by name (``edits``), of a bundle as it was exported or given away, of an
incident's directory, or of a directory of several bundles of which some are left out, the newest too. A
breach is one that verification calls as it was signed. The guard is that all that is there is under the
signature. The twin is a reader who looks only at what it wants to read and doesn't verify it: the attack gets
through if that reads well.
"""

import csv
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from agentflow.adapters.key_directory import KeyDirectory
from agentflow.audit import bundle
from agentflow.audit.cover import BUNDLE
from agentflow.audit.export import ExportSettings, export
from agentflow.audit.incident import TIMELINE, export_incident
from agentflow.audit.log_check import Problem, read_records
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import from_server
from agentflow.audit.sharing import share
from agentflow.audit.signing import ExportSigner
from agentflow.audit.succession import verify_chain
from agentflow.audit.verify import verify, verify_incident
from agentflow.errors import AuditError
from agentflow.redaction import Redactor
from agentflow.testing import ScriptedModel, answer, call
from benchmarks.attacks.bank import Cashier
from benchmarks.attacks.edits import edit, snapshot_of
from benchmarks.attacks.stage import Stage
from benchmarks.attacks.tried import Tally, Tried

RUNS = 3
CHAIN = 4
"""Bundles that follow each other."""
TWINS = 10
"""One of so many edits is tried on the twin, too."""


@dataclass(frozen=True)
class _Archive:
    """Whoever exported, and what was."""

    directory: Path
    signer: ExportSigner

    async def problems(self, form: str, place: Path) -> list[Problem]:
        key = self.signer.public
        match form:
            case "incident":
                return (await verify_incident(place, key)).problems
            case "chain":
                verdicts = [await verify(each, key) for each in _inside(place)]
                newest = bundle.digest_hash(self.directory / "chain" / f"{CHAIN - 1}")
                return verify_chain(verdicts, newest)
            case _:
                return (await verify(place, key, log_only=form == "shared")).problems


FORMS = ("bundle", "shared", "incident", "chain")


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Edit bundles."""
    tally = Tally()
    archive = await _exported(stage)
    for number in range(attempts):
        form = random.choices(FORMS, (4, 4, 4, 1))[0]
        place = stage.directory / "edited" / form
        shutil.copytree(archive.directory / form, place)
        before = snapshot_of(place)
        kind = _left_out(random, place) if form == "chain" else edit(random, place)
        while snapshot_of(place) == before:
            kind = edit(random, place)
        what = f"{form}: {kind}"
        tally.count([Tried(what, not await archive.problems(form, place), _changes(before, place))])
        if number % TWINS == 0:
            tally.count_twin([Tried(what, _reads(form, place), "")])
        shutil.rmtree(stage.directory / "edited")
    return tally


def _inside(place: Path) -> list[Path]:
    return sorted(place.iterdir())


def _left_out(random: Random, place: Path) -> str:
    """The newest bundles, or some of them, aren't there."""
    bundles = _inside(place)
    first = random.randrange(1, len(bundles))
    some = random.sample(bundles[:-1], len(bundles) - first - 1)
    for each in random.choice([bundles[first:], [*some, bundles[-1]]]):
        shutil.rmtree(each)
    return "left out"


def _changes(before: Mapping[str, object], place: Path) -> str:
    after = snapshot_of(place)
    return ", ".join(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))


def _reads(form: str, place: Path) -> bool:
    """Whether it reads well to somebody who doesn't verify it."""
    source = {"incident": place / BUNDLE, "chain": min(place.iterdir())}.get(form, place)
    files = [source / bundle.MANIFEST, source / bundle.DECISIONS]
    files += [place / bundle.TEXTS] if form == "shared" else []
    files += [place / TIMELINE] if form == "incident" else []
    if not all(path.is_file() for path in files):
        return False
    try:
        bundle.read_manifest(source)
        for _ in read_records(source):
            pass
        if form == "shared":
            for line in (place / bundle.TEXTS).read_bytes().splitlines():
                json.loads(line)
        if form == "incident":
            list(csv.reader((place / TIMELINE).read_text("utf-8").splitlines()))
    except (AuditError, ValueError, OSError, csv.Error):
        return False
    return True


async def _exported(stage: Stage) -> _Archive:
    """Runs that paid something, in each form."""
    place = stage.directory / "archive"
    pay = call("pay", account="alice", amount="5.00")
    model = ScriptedModel([call("look", account="alice"), pay, answer("paid")])
    async with stage.target(model) as target:
        handles = [await target.start(f"pay invoice {number}") for number in range(RUNS)]
        for handle in handles:
            await handle.result()
        keys = KeyDirectory(place / "keys")
        signer = ExportSigner.load_or_make(place / "signing-key.pem")
        settings = ExportSettings(target.client.namespace, keys, signer, place / "last-export.json")
        runs: list[tuple[str, str | None]] = [(handle.id, None) for handle in handles]

        async def exported(name: str) -> None:
            await export(
                from_server(target.client, runs),
                place / name,
                "all",
                settings,
                converter=target.client.data_converter,
                replayed=ReplayedRuns([Cashier], target.client.namespace),
            )

        for number in range(CHAIN):
            await exported(f"chain/{number}")
        await exported("bundle")
        await share(place / "bundle", place / "shared", keys, Redactor(), signer)
        await export_incident(
            from_server(target.client, runs),
            place / "incident",
            "all",
            settings,
            title="Attacked",
            converter=target.client.data_converter,
            replayed=ReplayedRuns([Cashier], target.client.namespace),
        )
    return _Archive(place, signer)
