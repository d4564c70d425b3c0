"""Claims: a payment of 600.00 waits, and what approvers signed is of something else, or is nothing.

The guards are that each claim is compared with the pending action itself, once in the JSON and of its type,
that a header says exactly what it must, and that a key is one. Each has a twin without it.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from joserfc.util import urlsafe_b64decode

from agentflow.adapters.jwks_file import JwksFile
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.identity import DECISION_TYPE, ApproverKey
from agentflow.contracts.wire import ApprovalId, Sha256
from agentflow.core import jws
from agentflow.core.approval import Refusal, Verdict
from agentflow.core.consents import key_hash
from agentflow.core.idempotency import arguments_hash
from agentflow.core.jwks import entry_of
from agentflow.core.key_strength import ed25519_problem
from agentflow.core.signed_approvers import SignedApprovers
from agentflow.errors import ConfigurationError, DecisionRefusedError
from agentflow.testing import ScriptedModel
from benchmarks.attacks.forgeries import ANN, APPROVERS, Pending, forgery, weak_token
from benchmarks.attacks.people import ended, pays, send_all, stands, who_counted
from benchmarks.attacks.stage import Stage, Target
from benchmarks.attacks.treasurer import Treasurer
from benchmarks.attacks.tried import Tally, Tried
from benchmarks.attacks.twins import replaced

SENT_TO_ONE_RUN = 150
_P = 2**255 - 19
_WEAK = {
    "the identity": (1).to_bytes(32, "little"),
    "the identity, with a sign": (1 + 2**255).to_bytes(32, "little"),
    "the identity, not reduced": (_P + 1).to_bytes(32, "little"),
    "of order 2": (_P - 1).to_bytes(32, "little"),
}
"""Points of the curve of Ed25519 in whose name nobody needs a key to sign."""


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Try forgeries on a worker with approvers' keys in a file, and on twins of it."""
    tally = Tally()
    jwks = stage.directory / "approvers.json"
    jwks.write_text(json.dumps({"keys": [entry_of(signer.public()) for signer in APPROVERS]}))
    async with stage.target(ScriptedModel(pays), workflows=(Treasurer,), approvers=JwksFile(jwks)) as target:
        tally.count(await _tried(target, random, attempts, SENT_TO_ONE_RUN))
        for twin in (_compared_with_what_stands_beside, _under_any_header):
            with twin():
                tally.count_twin(await _tried(target, random, max(attempts // 30, 30), sent_to_one_run=3))
    tally.count(await _weak_keys(stage.directory))
    with _with_any_key():
        tally.count_twin(await _weak_keys(stage.directory))
    return tally


class _Beside:
    """A verifier that compares what was signed with the payload it came in, and reads JSON as most do."""

    method = "signed"

    def __init__(self, keys: Sequence[ApproverKey], *_: Any, **__: Any) -> None:
        self._keys = {key.kid: key for key in keys}

    def verify(
        self,
        decision: ApprovalDecision,
        verdict: Verdict,
        request: ApprovalRequest,
        run: Sha256,
        now: datetime,
    ) -> Approver | Refusal:
        """Believe whatever does not contradict itself."""
        try:
            return self._read(decision)
        except (ValueError, TypeError, AttributeError) as error:
            return Refusal(str(error))

    def _read(self, decision: ApprovalDecision) -> Approver | Refusal:
        found = jws.verified(decision.token or "", DECISION_TYPE, self._keys)
        if isinstance(found, Refusal):
            return found
        key, payload = found
        claims = json.loads(payload)
        for name, said in (
            ("approval_id", decision.approval_id),
            ("arguments_hash", decision.arguments_hash),
            ("sub", decision.by),
        ):
            if said is not None and claims.get(name, said) != said:
                return Refusal(f"another {name}")
        roles = tuple(claims.get("roles", key.roles))
        return Approver(
            subject=decision.by,
            roles=roles,
            method=self.method,
            kids=(key.kid,),
            key_hashes=(key_hash(key),),
        )


@contextmanager
def _compared_with_what_stands_beside() -> Iterator[None]:
    """A twin that takes a token's word for what it is about."""
    with replaced(SignedApprovers, _Beside):
        yield


@contextmanager
def _under_any_header() -> Iterator[None]:
    """A twin that looks at signatures and not at headers."""

    def nothing(*_: object) -> Iterator[str]:
        return iter(())

    def lax(token: str) -> Any:
        head = token.partition(".")[0]
        return json.loads(urlsafe_b64decode(head.encode()))

    with replaced(jws._objections, nothing), replaced(jws._header_of, lax):  # pyright: ignore[reportPrivateUsage]
        yield


@contextmanager
def _with_any_key() -> Iterator[None]:
    """A twin that takes every point for a key."""

    def no_problem(_: bytes) -> None:
        return None

    with replaced(ed25519_problem, no_problem):
        yield


async def _tried(target: Target, random: Random, attempts: int, sent_to_one_run: int) -> list[Tried]:
    """Forgeries by signal and by update, on runs that wait for one person."""
    elsewhere = await target.start("pay alice 600.00", Treasurer)
    (other,) = (await stands(target, elsewhere)).approvals
    gate = asyncio.Semaphore(3)
    seeds = [random.getrandbits(64) for _ in range(attempts)]
    batches = [seeds[at : at + sent_to_one_run] for at in range(0, attempts, sent_to_one_run)]
    found = await asyncio.gather(*(_on_a_run(target, gate, other, batch) for batch in batches))
    await elsewhere.terminate()
    return [one for some in found for one in some]


async def _on_a_run(
    target: Target, gate: asyncio.Semaphore, other: ApprovalRequest, seeds: Sequence[int]
) -> list[Tried]:
    """Send a forgery for each seed. Where the run pays, each half goes to a run of its own, to find which."""
    account = f"eve-{uuid4().hex}"
    async with gate:
        handle = await target.start(f"pay {account} 600.00", Treasurer)
        (waiting,) = (await stands(target, handle)).approvals
        pending = Pending(waiting, _others(waiting, other))
        sent: list[tuple[str, str, str]] = []
        for seed in seeds:
            random = Random(seed)
            one, door = forgery(random, pending), random.choice(["signal", "signal", "update"])
            said = {"verdict": "approve", **one.beside, "approval_id": waiting.id, "token": one.token}
            sent.append((one.kind, door, json.dumps(said)))
        await send_all(handle, ((door, text) for _, door, text in sent))
        counted = await who_counted(target, handle)
        if not counted:
            # The run is one that a true decision pays.
            await _decide(target, handle.id, ANN.decision(waiting, "approve"))
        # Each attempt of a write looks at its consents again; a person is asked where one does not hold.
        await stands(target, handle)
        await ended(handle)
        paid = target.books.paid[account]
    if not counted:
        assert paid == 1
        return [Tried(kind, False) for kind, _, _ in sent]
    if len(seeds) == 1:
        return [Tried(kind, paid > 0, f"by {door}: {text}") for kind, door, text in sent]
    middle = len(seeds) // 2
    halves = [_on_a_run(target, gate, other, half) for half in (seeds[:middle], seeds[middle:])]
    return [one for some in await asyncio.gather(*halves) for one in some]


def _others(here: ApprovalRequest, elsewhere: ApprovalRequest) -> list[ApprovalRequest]:
    """What approvers may have signed before: another run's payment, less, to another, by another tool."""

    def changed(**arguments: str) -> ApprovalRequest:
        return _bound(here, here.tool, {**here.arguments, **arguments})

    return [
        elsewhere,
        changed(amount="1.00"),
        changed(account="alice"),
        _bound(here, "transfer", here.arguments),
        here.model_copy(update={"id": ApprovalId("approval-2")}),
        elsewhere.model_copy(update={"id": ApprovalId("approval-2")}),
    ]


def _bound(request: ApprovalRequest, tool: str, arguments: dict[str, Any]) -> ApprovalRequest:
    found = {"tool": tool, "arguments": arguments, "arguments_hash": arguments_hash(tool, arguments)}
    return request.model_copy(update=found)


async def _weak_keys(directory: Path) -> list[Tried]:
    """Keys with which anybody can sign, in the file of a worker: what it reads from it for each run."""
    found: list[Tried] = []
    for kind, point in _WEAK.items():
        jwks, encoded = directory / "weak.json", urlsafe_b64encode(point).rstrip(b"=").decode()
        for_whom = {"subjects": ["ann"], "roles": ["finance"]}
        entry = {"kty": "OKP", "crv": "Ed25519", "x": encoded, "kid": "weak-1", "alg": "EdDSA"}
        jwks.write_text(json.dumps({"keys": [{**entry, "agentflow": for_whom}]}))
        try:
            keys = {key.kid: key for key in await JwksFile(jwks).keys()}
        except ConfigurationError as error:
            found.append(Tried(f"weak key: {kind}", False, str(error)))
            continue
        tokens = [weak_token("weak-1", str(number)) for number in range(8)]
        believed = [not isinstance(jws.verified(token, DECISION_TYPE, keys), Refusal) for token in tokens]
        found.append(Tried(f"weak key: {kind}", any(believed), encoded))
    return found


async def _decide(target: Target, workflow_id: str, decision: ApprovalDecision) -> None:
    """Decide; again where the same words, in a forged envelope, wait to be judged."""
    for _ in range(100):
        try:
            await target.agents.decide(workflow_id, decision)
            return
        except DecisionRefusedError as error:
            if "waits to be judged" not in str(error):
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("a decision was never judged")
