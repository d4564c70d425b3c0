"""The form of an audit bundle that may be given away, of all runs, searched as all else that leaves."""

import json
from collections.abc import Sequence
from pathlib import Path

from temporalio.client import Client

from agentflow.adapters.key_directory import KeyDirectory
from agentflow.audit.bundle import TEXTS, read_manifest
from agentflow.audit.chain import line_of
from agentflow.audit.export import ExportSettings, export
from agentflow.audit.log_check import read_records
from agentflow.audit.ocsf import events
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import from_server
from agentflow.audit.sharing import share
from agentflow.audit.signing import ExportSigner
from agentflow.audit.verify import verify
from agentflow.redaction import Redactor
from benchmarks.redaction.agent import Clerk
from benchmarks.redaction.sinks import EVERYBODY, Sinks


async def read_bundle(
    client: Client, runs: Sequence[str], place: Path, redactor: Redactor, sinks: Sinks
) -> None:
    """Export the runs, share the bundle, and put all of it into the sinks."""
    keys = KeyDirectory(place / "keys")
    signer = ExportSigner.load_or_make(place / "signing-key.pem")
    settings = ExportSettings(client.namespace, keys, signer, place / "last-export.json")
    manifest = await export(
        from_server(client, [(run, None) for run in runs]),
        place / "bundle",
        "all",
        settings,
        converter=client.data_converter,
        replayed=ReplayedRuns([Clerk], client.namespace),
    )
    assert manifest.gaps == 0, [run.gaps for run in manifest.runs]
    shared = await share(place / "bundle", place / "shared", keys, redactor, signer)
    assert not shared.without_texts, shared
    assert (await verify(place / "shared", signer.public, log_only=True)).ok
    records = list(read_records(place / "shared"))
    for record, event in zip(records, events(manifest, records), strict=True):
        sinks.add("decision_log", record.run, line_of(record).decode())
        sinks.add("decision_log", record.run, json.dumps(event, ensure_ascii=False))
    for line in (place / "shared" / TEXTS).read_text("utf-8").splitlines():
        said = json.loads(line)
        text = json.dumps(said, ensure_ascii=False)
        # Arguments and answers are JSON in JSON: as it reads, with quotes unescaped.
        sinks.add("shared_texts", records[said["record"]].run, text + text.replace('\\"', '"'))
    sinks.add("decision_log", EVERYBODY, read_manifest(place / "shared").model_dump_json())
