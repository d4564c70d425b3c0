"""Spellings: one person meets a quorum of two, or approves what they asked for, under another spelling.

The guards are that a name with something in it that can't be seen is none, and that names that look alike are
one. Each has a twin without it.
"""

import asyncio
import json
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from uuid import uuid4

from agentflow.contracts import person as names
from agentflow.core import person
from agentflow.testing import ScriptedModel
from benchmarks.attacks import namesakes
from benchmarks.attacks.bank import Cashier
from benchmarks.attacks.letters import marred, spelled
from benchmarks.attacks.people import pays, send_all, who_counted
from benchmarks.attacks.stage import Stage, Target
from benchmarks.attacks.treasurer import Treasurer
from benchmarks.attacks.tried import Tally, Tried
from benchmarks.attacks.twins import replaced

SENT_TO_ONE_RUN = 120
ROUNDS = 40
"""Runs that one batch of attempts may use up: a breach ends a run, and those that came after it count for
nothing."""


@dataclass(frozen=True)
class Scene:
    """A run that waits for one more person, who must not be who signs."""

    kind: str
    name: str
    """Written otherwise in each attempt."""
    requested_by: str = "inbox"
    consents: tuple[str, ...] = ("zoe",)
    input: str = "pay {account} 600.00"
    agent: type = Cashier
    role: bool = False
    """Whether the name is a role's."""


def _scene(random: Random) -> Scene:
    name = random.choice(namesakes.NAMES)
    return random.choice(
        [
            Scene("second yes", name, consents=(name,)),
            Scene("second yes", name, consents=(name,)),
            Scene("requester", name, requested_by=name),
            Scene("named", name, input=f"pay {{account}} 600.00, as {name} and zoe agreed"),
            Scene("role", random.choice(["finance", "fin ops 1"]), consents=(), agent=Treasurer, role=True),
        ]
    )


async def attack(stage: Stage, random: Random, attempts: int) -> Tally:
    """Try spellings on a worker, and on twins of it."""
    tally = Tally()
    async with stage.target(ScriptedModel(pays), workflows=(Cashier, Treasurer)) as target:
        runs = max(attempts // 5, 5)
        tally.count(await _decided(target, random, attempts - runs, SENT_TO_ONE_RUN))
        tally.count(await namesakes.tried(stage, target, random, runs))
        for twin in (_plainly_compared, _of_any_character):
            with twin():
                few = max(attempts // 30, 16)
                tally.count_twin(await _decided(target, random, few, sent_to_one_run=4))
                tally.count_twin(await namesakes.tried(stage, target, random, few))
    return tally


@contextmanager
def _plainly_compared() -> Iterator[None]:
    """A twin that compares people as most programs do, and roles as if they were people."""

    def plain(name: str) -> str:
        return " ".join(name.split()).casefold()

    def plainly(name: str) -> frozenset[str]:
        return frozenset({plain(name)})

    def read_alike(one: str, other: str) -> bool:
        return plain(one) == plain(other)

    with (
        replaced(person.readings, plainly),
        replaced(person._read_alike, read_alike),  # pyright: ignore[reportPrivateUsage]
        replaced(person.folded, person.settled),
    ):
        yield


@contextmanager
def _of_any_character() -> Iterator[None]:
    """A twin that takes every text for a name."""

    def faultless(name: str) -> None:
        del name

    names.checked.cache_clear()
    with replaced(names.fault_of, faultless):
        yield
    names.checked.cache_clear()


async def _decided(target: Target, random: Random, attempts: int, sent_to_one_run: int) -> list[Tried]:
    """Decisions of people under other spellings, on runs that wait for one more."""
    gate = asyncio.Semaphore(3)
    batches: list[tuple[Scene, list[tuple[str, str, str]]]] = []
    while attempts > 0:
        scene, many = _scene(random), min(sent_to_one_run, attempts)
        batches.append((scene, [_spelling(random, scene) for _ in range(many)]))
        attempts -= many

    async def run(scene: Scene, spellings: list[tuple[str, str, str]]) -> list[Tried]:
        async with gate:
            return await _on_a_scene(target, scene, spellings)

    return [one for found in await asyncio.gather(*(run(*batch) for batch in batches)) for one in found]


def _spelling(random: Random, scene: Scene) -> tuple[str, str, str]:
    """A kind, a spelling and a door."""
    door = random.choice(["signal", "signal", "update"])
    while True:
        kind, text = random.choice([spelled, spelled, marred])(random, scene.name)
        if not (scene.role and _is_same(text, scene.name)):
            return f"{scene.kind}: {kind}", text, door


def _is_same(one: str, other: str) -> bool:
    """Whether it is the same name, in another case or form: of a role it gives no more than that does."""

    def folded(name: str) -> str:
        for _ in range(3):
            name = unicodedata.normalize("NFKC", name).casefold()
        return " ".join(name.split())

    return folded(one) == folded(other)


async def _on_a_scene(target: Target, scene: Scene, spellings: Sequence[tuple[str, str, str]]) -> list[Tried]:
    """Send them all to a run, and those that a breach left without one to another."""
    tried: list[Tried] = []
    rest = list(spellings)
    for _ in range(ROUNDS):
        account = f"eve-{uuid4().hex}"
        handle = await target.start(
            scene.input.format(account=account), scene.agent, requested_by=scene.requested_by
        )
        waiting = (await target.agents.attention(handle.id)).approvals[0]
        for name in scene.consents:
            await target.agents.approve(handle.id, waiting.id, by=name)
        people = [f"eve {number}" if scene.role else text for number, (_, text, _) in enumerate(rest)]
        said = [
            {"approval_id": waiting.id, "by": by, "roles": [text] if scene.role else [], "verdict": "approve"}
            for by, (_, text, _) in zip(people, rest, strict=True)
        ]
        doors = [door for _, _, door in rest]
        await send_all(handle, zip(doors, map(json.dumps, said), strict=True))
        # What people signed aside, spaces in what they say of themselves are written anew.
        spaced = [" ".join(by.split()) for by in people]
        counted = [name for name in await who_counted(target, handle) if name not in scene.consents]
        if not counted:
            await handle.terminate()
            assert not target.books.paid[account]
            return [*tried, *(Tried(kind, False) for kind, _, _ in rest)]
        await handle.result()
        assert target.books.paid[account] == 1
        kind, text, door = rest.pop(spaced.index(counted[0]))
        tried.append(Tried(kind, True, f"{scene.name!r} as {text!a} by {door}"))
    return tried + [Tried(kind, False, "no run was left for it") for kind, _, _ in rest]
