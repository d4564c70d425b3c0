"""Keys that stay the same whatever is retried, reset or continued as new."""

from collections.abc import Mapping
from functools import lru_cache

from agentflow.contracts.wire import Json, Sha256, sha256_of


@lru_cache(maxsize=1_024)
def run_root(namespace: str, workflow_id: str) -> Sha256:
    """Names a run. Never the run id, which a reset or a continue-as-new changes."""
    return sha256_of(["run", namespace, workflow_id])


def run_fingerprint(root: Sha256, first_execution_run_id: str) -> Sha256:
    """Names a run among all that ever have its workflow id.

    The first execution's id stays through resets and continue-as-new.
    """
    return sha256_of(["execution", root, first_execution_run_id])


def ledger_key(root: Sha256, call_index: int, tool: str) -> Sha256:
    """Names one tool call of one run: the ledger's key and the outside system's idempotency key."""
    return sha256_of(["tool_call", root, call_index, tool])


def arguments_hash(tool: str, arguments: Mapping[str, Json]) -> Sha256:
    """Binds a decision or an approval to a tool and its exact arguments.

    Raises:
        ValueError: an argument is NaN or infinite.
        TypeError: an argument isn't JSON.
    """
    return sha256_of([tool, dict(arguments)])
