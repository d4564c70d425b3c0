"""Serves one GGUF file until SIGTERM. ``local_model`` runs this file; nothing imports it.

It imports no other part of agentflow, which would more than double the time and memory of its start.
"""

import argparse
import os
import signal
import sys
import threading
from importlib import import_module
from types import FrameType
from typing import Any

LISTENING_ADDRESS = "127.0.0.1"
WARNINGS = 2
"""llama.cpp's log level; one lower is errors only, one higher writes ten lines for each request."""


def main() -> None:
    """Serve until SIGTERM."""
    options = _parser().parse_args()
    # Threads that wait by spinning starve each other when anything else wants their cores: on two of them,
    # beside one busy process, turns took 1.7 times as long, and once seven times. OpenMP reads this as it
    # is loaded, so it comes before the import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    llama: Any = import_module("xllamacpp")
    try:
        # The variable keeps it alive: the server stops when it is collected.
        server = llama.Server(_parameters(llama, options))
    except RuntimeError as error:
        # llama.cpp logs why from a thread of its own, which doesn't always come to it before the end.
        sys.exit(f"can't serve {options.model} on port {options.port}: {error}")
    signal.signal(signal.SIGTERM, _exit_at_once)
    print(f"serving {options.name} on {server.listening_address}", flush=True)
    threading.Event().wait()


def _exit_at_once(_number: int, _frame: FrameType | None) -> None:
    # The server's destructor hung for a minute in 4 of 9 exits, and there is nothing here to lose.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve a GGUF file with an OpenAI-compatible API.")
    parser.add_argument("--model", required=True, help="path of the GGUF file")
    parser.add_argument("--name", required=True, help="name that the API gives the model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--n-ctx", type=int, required=True, help="tokens of context, all slots together")
    parser.add_argument("--n-parallel", type=int, required=True, help="slots: requests served at a time")
    parser.add_argument("--n-threads", type=int, required=True)
    parser.add_argument("--kv-unified", action="store_true", help="slots share one pool of context")
    return parser


def _parameters(llama: Any, options: argparse.Namespace) -> Any:
    parameters = llama.CommonParams()
    parameters.model.path = options.model
    parameters.model_alias = {options.name}
    parameters.hostnames = [LISTENING_ADDRESS]
    parameters.port = options.port
    # By default any web page that this machine's browser shows may read the API's answers.
    parameters.cors_origins = ""
    parameters.endpoint_slots = False
    parameters.n_ctx = options.n_ctx
    parameters.n_parallel = options.n_parallel
    parameters.kv_unified = options.kv_unified
    parameters.cpuparams.n_threads = options.n_threads
    parameters.cpuparams_batch.n_threads = options.n_threads
    parameters.verbosity = WARNINGS
    return parameters


if __name__ == "__main__":
    main()
