"""Keys that stay the same whatever is retried, reset or continued as new."""

from collections.abc import Mapping
from functools import lru_cache

from agentflow.contracts.wire import Json, Sha256, sha256_of


@lru_cache(maxsize=1_024)
def run_root(namespace: str, workflow_id: str) -> Sha256:
    """Names a run. Never the run id, which a reset or a continue-as-new changes."""
    return sha256_of(["run", namespace, workflow_id])


def chain_of(first_execution_run_id: str, original_execution_run_id: str, *, is_cron: bool) -> str:
    """Names a run among all that ever have its workflow id: the executions that are one piece of work.

    Continue-as-new, resets and Temporal's retries stay in it: through all of them the first execution's id
    stays the same. So it does through the executions of a cron schedule, each of which is a piece of work of
    its own; the id that an execution had before it was ever reset tells those apart.

    Args:
        first_execution_run_id: As the execution's started event has it.
        original_execution_run_id: As that has it.
        is_cron: Whether the execution was started by a cron schedule.
    """
    return original_execution_run_id if is_cron else first_execution_run_id


def run_fingerprint(root: Sha256, chain: str) -> Sha256:
    """Names a run in what people sign.

    Args:
        root: ``run_root``.
        chain: ``chain_of`` its executions.
    """
    return sha256_of(["execution", root, chain])


def ledger_key(root: Sha256, chain: str, call_index: int, tool: str) -> Sha256:
    """Names one tool call of one run: the ledger's key and the outside system's idempotency key.

    Args:
        root: ``run_root``.
        chain: ``chain_of`` its executions: another run of the same workflow id does work of its own.
        call_index: Which call of the run it is.
        tool: Its name.
    """
    return sha256_of(["tool_call", root, chain, call_index, tool])


def key_beside(taken: Sha256) -> Sha256:
    """Names a call whose place is that of another one: a reset run asks for other arguments there.

    There may be a third one beside that, and so on: each finds all that came before it.

    Args:
        taken: The ledger key that is taken.
    """
    return sha256_of(["tool_call_beside", taken])


def same_work(root: Sha256, tool: str, arguments_hash: Sha256) -> Sha256:
    """Names what a write does, whichever run of a workflow id does it.

    Args:
        root: ``run_root``.
        tool: Its name.
        arguments_hash: ``arguments_hash`` of the call.
    """
    return sha256_of(["work", root, tool, arguments_hash])


def arguments_hash(tool: str, arguments: Mapping[str, Json]) -> Sha256:
    """Binds a decision or an approval to a tool and its exact arguments.

    Raises:
        ValueError: an argument is NaN or infinite.
        TypeError: an argument isn't JSON.
    """
    return sha256_of([tool, dict(arguments)])
