"""Runs, agents and tokens of those who are somebody else in another spelling."""

import asyncio
import json
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from agentflow.adapters.signer import Signer
from agentflow.contracts.identity import DECISION_TYPE, DELEGATION_TYPE
from agentflow.errors import DecisionRefusedError
from agentflow.testing import MemoryLedger, ScriptedModel
from agentflow.workflow.definition import workflow_type_of
from benchmarks.attacks.bank import Cashier
from benchmarks.attacks.letters import LOOK_ALIKES, is_plain, marred, spelled
from benchmarks.attacks.look_alikes import CASHIER, Cash1er, Cashіer  # noqa: PLC2403
from benchmarks.attacks.people import pays, raw, stands, who_counted
from benchmarks.attacks.stage import Stage, Target
from benchmarks.attacks.tokens import Keys, claims_of, decided, token_of
from benchmarks.attacks.tried import Tried

NAMES = (
    "ann",
    "tim",
    "marta mill",
    "ann.smith@example.com",
    "José Álvarez",
    "Łukasz",
    "Ольга Иванова",
    "Straße",
    "Şule İnan",
    "李小龍",
    "דוד כהן",
    "محمد علي",
)
TENANTS = ("mill-1", "acme.corp", "Oslo_10", "wWw")
_TENANT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
ZOE = Signer.generate("zoe", ("finance",), kid="zoe-1")
OFFICE = Signer.generate("office", ("finance",), kid="office-1")
"""An identity provider's key: it speaks for everybody."""
_HOUR = timedelta(hours=1)


async def tried(stage: Stage, target: Target, random: Random, attempts: int) -> list[Tried]:
    """Spellings that take a run each, and such as are signed."""
    frozen, asked = max(attempts // 4, 1), max(attempts // 4, 1)
    found = await _asked(target, random, asked)
    found += await _frozen(stage, random, frozen)
    found += await _signed(stage, random, max(attempts - frozen - asked, 1))
    return found


async def _asked(target: Target, random: Random, attempts: int) -> list[Tried]:
    """Ask for a run under another spelling, and approve it as oneself."""
    gate = asyncio.Semaphore(6)

    async def ask() -> Tried:
        name = random.choice(NAMES)
        kind, text = random.choice([spelled, spelled, marred])(random, name)
        account = f"eve-{uuid4().hex}"
        task = {"input": f"pay {account} 600.00", "requested_by": text}
        async with gate:
            handle = await _started(target, "Cashier", task)
            attention = await stands(target, handle)
            if attention.approvals:
                waiting = attention.approvals[0]
                await target.agents.approve(handle.id, waiting.id, by="zoe")
                try:
                    await target.agents.approve(handle.id, waiting.id, by=name)
                except DecisionRefusedError:
                    await handle.terminate()
                else:
                    await handle.result()
        return Tried(f"asked as: {kind}", target.books.paid[account] > 0, f"{name!r} as {text!a}")

    return list(await asyncio.gather(*(ask() for _ in range(attempts))))


async def _frozen(stage: Stage, random: Random, attempts: int) -> list[Tried]:
    """Runs for tenants, and of agents, whose names look like frozen ones."""
    ledger, found = MemoryLedger(), list[Tried]()
    for key in (*(f"tenant:{name}" for name in TENANTS), "agent:Cashier"):
        await ledger.stop("default", key, by="rita")
    for agent in (Cashіer, CASHIER, Cash1er)[:attempts]:
        async with stage.target(ScriptedModel(pays), ledger=ledger, workflows=(agent,)) as target:
            found.append(await _forbidden(target, agent, "default", f"agent: {agent.__name__!a}"))
    await ledger.lift("default", "agent:Cashier", by="rita")
    gate = asyncio.Semaphore(6)

    async def run(target: Target) -> Tried:
        name = random.choice(TENANTS)
        if random.random() < 0.7:
            kind, text = "look-alikes", _as_a_tenant(random, name)
        else:
            kind, text = random.choice([spelled, marred])(random, name)
        async with gate:
            return await _forbidden(target, Cashier, text, f"tenant: {kind}")

    async with stage.target(ScriptedModel(pays), ledger=ledger) as target:
        return found + list(await asyncio.gather(*(run(target) for _ in range(attempts - len(found)))))


def _as_a_tenant(random: Random, name: str) -> str:
    """Another spelling of a name in the few characters that a tenant's may have."""
    while True:
        text = random.choice([str.upper, str.lower, str.swapcase, str, str])(name)
        for _ in range(random.randint(1, 3)):
            at, length = random.randrange(len(text)), random.choice([1, 2])
            others = [one for one in LOOK_ALIKES.get(text[at : at + length], ()) if _TENANT.issuperset(one)]
            if others:
                text = text[:at] + random.choice(others) + text[at + length :]
        if text != name and not (is_plain(text) and is_plain(name) and "I" in name.upper()):
            return text


async def _forbidden(target: Target, agent: type, tenant: str, kind: str) -> Tried:
    account = f"eve-{uuid4().hex}"
    name = workflow_type_of(agent) or agent.__name__
    task = {"input": f"pay {account} 5.00", "requested_by": "inbox", "tenant": tenant}
    handle = await _started(target, name, task)
    attention = await stands(target, handle)
    if attention.outcome is None:
        await handle.terminate()
    return Tried(kind, target.books.paid[account] > 0, f"{name!a} for {tenant!a}")


async def _started(target: Target, agent: str, task: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    """A run that no client of agentflow's looked at before."""
    return await target.client.start_workflow(
        agent, raw(json.dumps(task)), id=f"run-{uuid4()}", task_queue=target.task_queue
    )


async def _signed(stage: Stage, random: Random, attempts: int) -> list[Tried]:
    """A key that speaks for everybody signs for people in other spellings, and lets them be stood in for."""
    own = {name: Signer.generate(name, ("finance",), kid=f"own-{at}") for at, name in enumerate(NAMES)}
    office = OFFICE.public().model_copy(update={"subjects": ("*",)})
    keys = Keys(office, ZOE.public(), *(signer.public() for signer in own.values()))
    found: list[Tried] = []
    async with stage.target(ScriptedModel(pays), approvers=keys) as target:
        while len(found) < attempts:
            name = random.choice(NAMES)
            many = min(attempts - len(found), 40)
            found += await _on_a_signed_run(target, random, own[name], many)
    return found


async def _on_a_signed_run(target: Target, random: Random, own: Signer, attempts: int) -> list[Tried]:
    name, account = own.subject, f"eve-{uuid4().hex}"
    how = random.choice(["signed", "stood in for", "the office's requester"])
    requested_by = name if how == "the office's requester" else "inbox"
    handle = await target.start(f"pay {account} 600.00", requested_by=requested_by)
    (waiting,) = (await stands(target, handle)).approvals
    first = ZOE if how == "the office's requester" else own
    await target.agents.decide(handle.id, first.decision(waiting, "approve"))
    sent: list[tuple[str, str]] = []
    decisions: list[tuple[str, str]] = []
    for _ in range(attempts):
        kind, text = random.choice([spelled, spelled, marred])(random, name)
        if how == "stood in for":
            given = {**claims_of(OFFICE.delegation("zoe", ("finance",), _HOUR)), "sub": text}
            claims, by, signer = decided(ZOE, waiting), "zoe", ZOE
            claims["delegation"] = token_of(OFFICE, DELEGATION_TYPE, json.dumps(given))
        else:
            claims, by, signer = {**decided(OFFICE, waiting), "sub": text}, text, OFFICE
        token = token_of(signer, DECISION_TYPE, json.dumps(claims))
        door = random.choice(["signal", "signal", "update"])
        said = {"approval_id": waiting.id, "by": by, "token": token, "verdict": "approve"}
        decisions.append((door, json.dumps(said)))
        sent.append((f"{how}: {kind}", text))
    counted = [
        who.removeprefix("zoe for ") for who in await who_counted(target, handle) if who != first.subject
    ]
    if counted:
        await handle.result()
    else:
        await handle.terminate()
    hit = target.books.paid[account] > 0
    return [
        Tried(
            kind,
            hit and any(" ".join(text.split()) in " ".join(who.split()) for who in counted),
            f"{name!r} as {text!a}",
        )
        for kind, text in sent
    ]
