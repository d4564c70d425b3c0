"""Who asked for a run: by a token, by a header, or by nobody's word but the starter's.

A proof that is there and does not hold is worse than none: the run is denied, whatever the policy.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from pydantic import ValidationError
from pydantic_core import from_json

from agentflow.contracts.person import fault_of
from agentflow.contracts.requester import START_TYPE, Requester, RequesterPolicy, StartClaims
from agentflow.contracts.wire import Json, Sha256, sha256_of
from agentflow.core.answer import describe_errors
from agentflow.core.approval import Refusal
from agentflow.core.consents import objections_to_key
from agentflow.core.idempotency import run_root
from agentflow.core.jws import verified
from agentflow.core.person import same_name, speaks_for

LEEWAY = timedelta(seconds=60)
"""How far ahead of the server's clock a signer's may be."""

NOT_SIGNED = frozenset({"requester_token", "carried", "seal"})
"""Members of a task that its hash leaves out: the token itself, and what no start may bring."""


@dataclass(frozen=True)
class Start:
    """Of a run's start, what tells who asked for it."""

    agent: str
    """The workflow type."""
    root: Sha256
    """Names namespace and workflow id, as the manifest has it."""
    at: datetime
    """When the server took it, by the server's clock."""
    is_first: bool
    """False in a later execution of a cron schedule, or a retry: it is given again what the first was."""
    headers: Mapping[str, bytes]
    """As JSON."""


def task_hash(given: Mapping[str, Json]) -> Sha256:
    """The hash of a task as JSON, all of its members but the token.

    Raises:
        ValueError: a number in it is not finite, or it is nested too deep.
    """
    return sha256_of({name: value for name, value in given.items() if name not in NOT_SIGNED})


def requester_of(
    given: Mapping[str, Json], start: Start, policy: RequesterPolicy | None
) -> Requester | Refusal:
    """Who asked for a run.

    Args:
        given: The task as it was sent.
        start: What else came with the start.
        policy: The worker's; ``None`` verifies nobody.

    Returns:
        The requester, verified or not; a refusal where the proof does not hold.
    """
    name, token = str(given.get("requested_by")), given.get("requester_token")
    if policy is None:
        return Requester(name=name, detail="the worker takes nobody's word for who asked")
    if not start.is_first:
        return Requester(name=name, detail="a later execution of a schedule or a retry proves nothing")
    if policy.keys and token is not None:
        return _by_token(name, str(token), given, start, policy)
    if policy.header is not None and policy.header in start.headers:
        return _by_header(name, policy.header, start.headers[policy.header])
    wanted = "a token" if policy.keys else f"the header {policy.header}"
    return Requester(name=name, detail=f"the run was started without {wanted}")


def as_of_now(requester: Requester, policy: RequesterPolicy, now: datetime) -> Requester:
    """A requester by the keys of now: one whose key is gone, or speaks for others, is verified no more.

    That a key expired since it signed the start changes nothing.
    """
    if requester.proof != "token":
        return requester
    key = next((key for key in policy.keys if key.kid == requester.kid), None)
    if key is not None and not key.is_revoked(now) and speaks_for(key.subjects, requester.name):
        return requester
    return Requester(
        name=requester.name, kid=requester.kid, detail=f"the key {requester.kid} no longer counts"
    )


def was_verified(requester: Requester | None) -> bool:
    """Whether a run began with a proof of who asked for it, believed by now or not."""
    return requester is not None and (requester.proof is not None or requester.kid is not None)


def _by_token(
    name: str, token: str, given: Mapping[str, Json], start: Start, policy: RequesterPolicy
) -> Requester | Refusal:
    found = verified(token, START_TYPE, {key.kid: key for key in policy.keys})
    if isinstance(found, Refusal):
        return found
    key, payload = found
    try:
        claims = StartClaims.model_validate(json.loads(payload, object_pairs_hook=_once), strict=True)
        objections = (
            *objections_to_key(key, claims.sub, start.at),
            *_objections_to_times(claims, start.at, policy.longest),
            *_objections_to_claims(claims, name, given, start),
        )
    except ValidationError as error:
        return Refusal(f"what was signed is malformed: {describe_errors(error)}")
    except (ValueError, TypeError, RecursionError) as error:
        return Refusal(f"what was signed is malformed: {error}"[:600])
    if objections:
        return Refusal(objections[0])
    return Requester(name=name, proof="token", kid=key.kid)


def _objections_to_times(claims: StartClaims, at: datetime, longest: timedelta) -> Iterator[str]:
    if claims.iat > (at + LEEWAY).timestamp():
        yield f"the token was signed at {claims.iat}, after the start ({int(at.timestamp())})"
    if claims.exp <= at.timestamp():
        yield f"the token expired at {claims.exp}, before the start ({int(at.timestamp())})"
    if claims.exp - claims.iat > longest.total_seconds():
        yield f"the token counts for {claims.exp - claims.iat} s, longer than {longest}"


def _objections_to_claims(
    claims: StartClaims, name: str, given: Mapping[str, Json], start: Start
) -> Iterator[str]:
    if not same_name(claims.sub, name):
        yield f"the token is {claims.sub}'s, and the task says {name}"
    if claims.agent != start.agent:
        yield f"the token starts {claims.agent}, not {start.agent}"
    if run_root(claims.namespace, claims.workflow_id) != start.root:
        yield f"the token starts {claims.workflow_id} in {claims.namespace}, which is another run"
    if claims.task != task_hash(given):
        yield "the token is for another task"


def _by_header(name: str, header: str, value: bytes) -> Requester | Refusal:
    try:
        stated = from_json(value)
    except ValueError:
        stated = None
    if not isinstance(stated, str):
        return Refusal(f"the header {header} is no text")
    if fault := fault_of(stated):
        return Refusal(f"the name in the header {header} {fault}")
    if not same_name(stated, name):
        return Refusal(f"the header {header} says {stated}, and the task says {name}")
    return Requester(name=name, proof="header")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a claim is there twice")
    return found


def given_task(text: bytes) -> Mapping[str, Json]:
    """A task as it is sent, from its JSON."""
    return cast(Mapping[str, Json], from_json(text))
