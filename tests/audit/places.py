"""Bundles of recorded runs, with the keys that they are made with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import WorkflowHistory

from agentflow.adapters.key_directory import KeyDirectory
from agentflow.audit.export import ExportSettings, export
from agentflow.audit.incident import export_incident
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import from_histories
from agentflow.audit.sharing import Shared, share
from agentflow.audit.signing import ExportSigner
from agentflow.audit.verify import Verdict, verify
from agentflow.contracts.bundle import BundleManifest
from agentflow.converter import agentflow_data_converter
from agentflow.redaction import Redactor
from tests.replay.test_replay import AGENTS

HISTORIES = Path(__file__).parents[1] / "replay" / "histories"


def recorded(name: str) -> WorkflowHistory:
    """A history as it was recorded."""
    return WorkflowHistory.from_json(name, (HISTORIES / f"0.1.0-{name}.json").read_text("utf-8"))


@dataclass
class Desk:
    """Whoever exports."""

    home: Path

    @property
    def keys(self) -> KeyDirectory:
        return KeyDirectory(self.home / "keys")

    @property
    def signer(self) -> ExportSigner:
        return ExportSigner.load_or_make(self.home / "signing-key.pem")

    def settings(self, **changes: int) -> ExportSettings:
        return ExportSettings("default", self.keys, self.signer, self.home / "last.json", **changes)

    async def export(
        self,
        place: Path,
        histories: Sequence[WorkflowHistory],
        *,
        agents: Sequence[type] = AGENTS,
        **changes: int,
    ) -> BundleManifest:
        return await export(
            from_histories(histories),
            place,
            "some",
            self.settings(**changes),
            converter=agentflow_data_converter,
            replayed=ReplayedRuns(agents, "default"),
        )

    async def export_incident(
        self, place: Path, histories: Sequence[WorkflowHistory], *, agents: Sequence[type] = AGENTS
    ) -> BundleManifest:
        return await export_incident(
            from_histories(histories),
            place,
            "some",
            self.settings(),
            title="Something happened",
            converter=agentflow_data_converter,
            replayed=ReplayedRuns(agents, "default"),
        )

    async def share(self, bundle: Path, place: Path) -> Shared:
        return await share(bundle, place, self.keys, Redactor(), self.signer)

    async def verify(self, place: Path, **more: bool) -> Verdict:
        return await verify(place, self.signer.public, self.keys, **more)
