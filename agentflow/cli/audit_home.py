"""Where an organisation's audit keys are: the signing key, the runs' keys, and which export was last."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agentflow.adapters.key_directory import KeyDirectory
from agentflow.adapters.kms_wrapper import KmsWrapper
from agentflow.audit.export import ExportSettings
from agentflow.audit.signing import ExportSigner, ExportVerifier
from agentflow.cli.exits import misused
from agentflow.contracts.bundle import CONTENTS_DAYS, MIN_LOG_DAYS

HOME_VARIABLE = "AGENTFLOW_AUDIT_HOME"
KMS_VARIABLE = "AGENTFLOW_AUDIT_KMS_KEY"
DEFAULT_HOME = Path(".agentflow") / "audit"

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help=f"With the signing key, the runs' keys and the last export; else {HOME_VARIABLE}, else "
        f"{DEFAULT_HOME.as_posix()}.",
    ),
]
KmsKey = Annotated[
    str | None,
    typer.Option(
        "--kms-key",
        metavar="KEY",
        help=f"AWS KMS key that wraps the runs' keys; else {KMS_VARIABLE}, else they are files as they are.",
    ),
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--public-key",
        metavar="FILE",
        help="Of whoever should have signed it; else the home's, if it is there.",
    ),
]


class AuditHome:
    """The directory, and what is in it."""

    def __init__(self, given: Path | None, kms_key: str | None = None) -> None:
        named = os.environ.get(HOME_VARIABLE)
        self.directory: Path = given or (Path(named) if named else DEFAULT_HOME)
        self._kms_key = kms_key or os.environ.get(KMS_VARIABLE)

    @property
    def signing_key(self) -> Path:
        """The private key of whoever exports."""
        return self.directory / "signing-key.pem"

    @property
    def public_key(self) -> Path:
        """Its public half, for whoever verifies."""
        return self.directory / "signing-key.pub.pem"

    @property
    def chain(self) -> Path:
        """Which export was the last one."""
        return self.directory / "last-export.json"

    def signer(self) -> ExportSigner:
        """The signing key, made at the first use.

        Raises:
            AuditError: it can't be read or made.
        """
        return ExportSigner.load_or_make(self.signing_key)

    def own_signer(self) -> ExportSigner:
        """The signing key of an export that was made here; none is made.

        Raises:
            AuditError: it can't be read.
            CommandFailed: there is none.
        """
        if not self.signing_key.is_file():
            raise misused(f"there is no {self.signing_key}: give --home of whoever exported the bundle")
        return self.signer()

    def keys(self) -> KeyDirectory:
        """The runs' keys.

        Raises:
            AuditError: AWS KMS is asked for and can't be used.
        """
        return KeyDirectory(self.directory / "keys", KmsWrapper(self._kms_key) if self._kms_key else None)

    def settings(
        self, namespace: str, *, contents_days: int = CONTENTS_DAYS[1], log_days: int = MIN_LOG_DAYS
    ) -> ExportSettings:
        """How bundles are made here.

        Raises:
            AuditError: the signing key or AWS KMS can't be used.
        """
        return ExportSettings(
            namespace=namespace,
            keys=self.keys(),
            signer=self.signer(),
            chain=self.chain,
            contents_days=contents_days,
            log_days=log_days,
        )

    def keys_if_any(self) -> KeyDirectory | None:
        """The runs' keys, where this machine has them."""
        return self.keys() if (self.directory / "keys").is_dir() else None

    def verifier(self, given: Path | None) -> ExportVerifier | None:
        """Whose signature is expected; ``None`` if nobody says.

        Raises:
            AuditError: the key can't be read.
            CommandFailed: the file that is named isn't there.
        """
        if given is not None and not given.is_file():
            raise misused(f"--public-key: there is no {given}")
        path = given or self.public_key
        return ExportVerifier.load(path) if path.is_file() else None
