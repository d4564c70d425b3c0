"""Where Temporal is, and how to get there: Temporal's own settings, and two options that override them."""

import asyncio
import os
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

from temporalio.client import Client
from temporalio.converter import DataConverter, ExternalStorage
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig
from temporalio.runtime import Runtime, TelemetryConfig

from agentflow.adapters.stores import open_external_storage
from agentflow.cli.exits import CommandFailed, ExitCode
from agentflow.converter import agentflow_data_converter
from agentflow.errors import ConfigurationError
from agentflow.plugin import AgentflowPlugin

DEFAULT_ADDRESS = "localhost:7233"
EXTERNAL_STORAGE = "AGENTFLOW_EXTERNAL_STORAGE"
"""Environment variable: the address of the workers' external storage."""
CONNECT_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True)
class Connection:
    """What the command line says of the connection; the environment and profiles say the rest."""

    address: str | None = None
    namespace: str | None = None
    profile: str | None = None

    def settings(self) -> ClientConnectConfig:
        """All that ``Client.connect`` needs: options, then ``TEMPORAL_*``, then the profile's file.

        Raises:
            ConfigurationError: a setting, the file or a certificate can't be read.
        """
        try:
            profile = ClientConfigProfile.load(profile=self.profile)
            settings = profile.to_client_connect_config()
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigurationError(f"Temporal's connection settings can't be read: {error}") from error
        settings["target_host"] = self.address or settings.get("target_host", DEFAULT_ADDRESS)
        settings["namespace"] = self.namespace or settings.get("namespace", "default")
        return settings

    async def connect(self) -> Client:
        """Connect.

        Raises:
            ConfigurationError: a setting can't be read.
            CommandFailed: Temporal can't be reached; the text says what to do.
        """
        settings = self.settings()
        address = settings.get("target_host", DEFAULT_ADDRESS)
        try:
            return await asyncio.wait_for(
                Client.connect(**settings, plugins=[client_plugin()], runtime=silent_runtime()),
                CONNECT_TIMEOUT.total_seconds(),
            )
        except TimeoutError:
            raise _unreachable(
                address, f"no answer in {CONNECT_TIMEOUT.total_seconds():.0f} seconds"
            ) from None
        except (RuntimeError, ValueError) as error:
            raise _unreachable(address, _gist(str(error))) from error


def client_plugin() -> AgentflowPlugin:
    """The plugin of a client that reads results: it needs the workers' external storage, if they have one.

    Raises:
        ConfigurationError: ``AGENTFLOW_EXTERNAL_STORAGE`` is no address of one.
    """
    return AgentflowPlugin(external_storage=_external_storage())


def reading_converter() -> DataConverter:
    """What reads the runs' payloads where no client is connected: histories in files."""
    return replace(agentflow_data_converter, external_storage=_external_storage())


def _external_storage() -> ExternalStorage | None:
    address = os.environ.get(EXTERNAL_STORAGE)
    return open_external_storage(address) if address else None


def namespace_of(connection: Connection) -> str:
    """Whose runs they are: it is a part of what a run's transcript is rooted in."""
    return connection.settings().get("namespace", "default")


@cache
def silent_runtime() -> Runtime:
    """Temporal's core without its log, which it writes to standard output, where results go.

    What it would say (a divergence, a lost connection) reaches the command as an exception.
    """
    return Runtime(telemetry=TelemetryConfig(logging=None))


def _unreachable(address: str, why: str) -> CommandFailed:
    return CommandFailed(
        ExitCode.UNREACHABLE,
        f"can't reach Temporal at {address} ({why}): start a local one with `agentflow dev`, or say where "
        f"it is with --address or TEMPORAL_ADDRESS",
    )


def _gist(message: str) -> str:
    """The innermost reason of a nested Rust error, such as ``Connection refused``."""
    quoted = re.findall(r'(?:message|error): "([^"]+)"', message)
    return quoted[-1] if quoted else message.removeprefix("Failed client connect: ")
