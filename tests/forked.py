"""Functions of tests in processes of their own, forked from one that has imported agentflow already.

To import it takes more computing than most of what these processes are started for. The process that forks has no
threads and no client. What is about an interpreter's start or end starts one anew instead.
"""

import contextlib
import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    ["tests.telemetry.traced", "tests.telemetry.measured", "tests.cli.worker", "tests.testing.faulty_worker"]
)


def forked(function: Callable[..., Any], *arguments: Any, **env: str) -> ForkServerProcess:
    """Start a function of a module in a process, with these environment variables besides its own."""
    process = FORKS.Process(target=_with_environment, args=(env, function, arguments), daemon=True)
    process.start()
    return process


def printed(function: Callable[..., Any], *arguments: Any, **env: str) -> str:
    """What a function of a module prints in a process of its own, which has to end well."""
    with TemporaryDirectory() as directory:
        output, errors = Path(directory, "output"), Path(directory, "errors")
        process = forked(_into_files, output, errors, function, arguments, **env)
        process.join(120)
        process.kill()
        process.join()
        assert process.exitcode == 0, errors.read_text()[-3_000:]
        return output.read_text()


def _with_environment(env: dict[str, str], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.update(env)
    function(*arguments)


def _into_files(output: Path, errors: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with output.open("w") as out, errors.open("w") as err:
        os.dup2(err.fileno(), 2)
        with contextlib.redirect_stdout(out):
            function(*arguments)
