"""A person's word to an escalated run: what it may be, and how it is sent."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from agentflow.cli.exits import CommandFailed, ExitCode, misused
from agentflow.cli.failures import answer_of
from agentflow.cli.json_input import read_json
from agentflow.client import AgentClient
from agentflow.contracts.escalation import Resolution, ResolutionAction
from agentflow.contracts.rules import DecisionRecord
from agentflow.core.answer import describe_errors
from agentflow.core.signals import MAX_SIGNAL_BYTES

RECORD_TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 0.2


def resolution_of(
    action: ResolutionAction,
    by: str,
    text: str,
    *,
    answer: str | None = None,
    result: str | None = None,
    roles: Sequence[str] = (),
) -> Resolution:
    """The resolution that a command line says.

    Args:
        action: What to do.
        by: Who says so.
        text: What the model is told, or why.
        answer: The option ``--answer``, as given: for the action ``answer``, and only for it.
        result: The option ``--result``, as given: for ``happened``, and for ``count`` if it is not on record.
        roles: The options ``--role``.

    Raises:
        CommandFailed: it is none.
    """
    if not by.strip():
        raise misused("--by must say who you are")
    try:
        resolution = Resolution(
            action=action,
            by=by,
            text=text,
            answer=_value("--answer", answer, "answer", action=action),
            result=_value("--result", result, "happened", action=action, may_be_given_with="count"),
            roles=tuple(roles),
        )
    except ValidationError as error:
        raise misused(f"this is no resolution: {describe_errors(error)}") from None
    size = len(resolution.model_dump_json().encode())
    if size > MAX_SIGNAL_BYTES:
        raise misused(f"this is too long for a run: {size} bytes, the limit is {MAX_SIGNAL_BYTES}")
    return resolution


async def send(client: AgentClient, workflow_id: str, bound: Resolution, identity: str) -> DecisionRecord:
    """Send a resolution, and find in the decision log what became of it: a signal has no answer.

    Args:
        client: Of the run's namespace.
        workflow_id: The run.
        bound: With the id of the open escalation, so that it counts for no other.
        identity: How people prove to the run who they are.

    Raises:
        CommandFailed: no worker has taken it up yet.
    """
    before = set(await _log(client, workflow_id))
    await client.resolve(workflow_id, bound)
    try:
        async with asyncio.timeout(RECORD_TIMEOUT_SECONDS):
            records = _ours(await _log(client, workflow_id), before, bound, identity)
            while not records:
                await asyncio.sleep(POLL_SECONDS)
                records = _ours(await _log(client, workflow_id), before, bound, identity)
            return records[0]
    except (TimeoutError, CommandFailed):
        raise CommandFailed(
            ExitCode.UNREACHABLE,
            f"the resolution was sent, but no worker has taken it up yet: see `agentflow status "
            f"{workflow_id} --decisions`",
        ) from None


def _value(
    option: str, given: str | None, given_with: str, *, action: str, may_be_given_with: str | None = None
) -> Any:
    if action != may_be_given_with and (action == given_with) != (given is not None):
        or_with = f" or {may_be_given_with}" if may_be_given_with else ""
        raise misused(f"give {option} with the action {given_with}{or_with}, and only with it")
    return None if given is None else read_json(option, given)


async def _log(client: AgentClient, workflow_id: str) -> list[DecisionRecord]:
    return await answer_of(workflow_id, client.decisions(workflow_id))


def _ours(
    log: list[DecisionRecord], before: set[DecisionRecord], resolution: Resolution, identity: str
) -> list[DecisionRecord]:
    """New lines about our resolution. Lines carry the time, so that no two are the same."""
    return [
        record
        for record in log
        if record.subject == "resolution" and record not in before and _is_by(record, resolution, identity)
    ]


def _is_by(record: DecisionRecord, resolution: Resolution, identity: str) -> bool:
    """Whether a line may be about ours: what counts is recorded under the name that was verified."""
    if record.by is None:
        return False
    name = " ".join(resolution.by.split())
    is_named = record.by in (resolution.by, name) or record.by.startswith(f"{name} for ")
    # A verifier of the agent's own may know us by any name.
    return is_named or identity not in ("trusted", "signed")
