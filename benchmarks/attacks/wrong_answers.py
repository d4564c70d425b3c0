"""Answers that are none, each by name, for whatever is asked of what others plug in.

Workflow code imports it; tests ask the ports with the same answers.
"""

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from agentflow.contracts.approval import Approver
from agentflow.core.rules import Match


class Odd:
    """Nothing that can be done with it goes well."""

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __iter__(self) -> Any:
        raise RuntimeError("no parts")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Text(str):
    """A text that may say something else the next time."""


class Number(int):
    """A number that may."""


class OtherMatch(Match):
    """A match that may."""


class OtherApprover(Approver):
    """An approver that may."""


async def _later() -> bool:
    return True


def _raising() -> Any:
    raise RuntimeError("broken")


def _raise(error: BaseException) -> Any:
    raise error


PLAIN: dict[str, Callable[[], Any]] = {
    "true": lambda: True,
    "false": lambda: False,
    "one": lambda: 1,
    "zero": lambda: 0,
    "point": lambda: 0.5,
    "yes": lambda: "yes",
    "allow": lambda: "allow",
    "empty": lambda: "",
    "bytes": lambda: b"yes",
    "none": lambda: None,
    "coroutine": _later,
    "odd": Odd,
    "class": lambda: Odd,
    "text": lambda: Text("yes"),
    "number": lambda: Number(1),
    "function": lambda: _raising,
    "ellipsis": lambda: ...,
    "error": lambda: RuntimeError("returned"),
    "raises": _raising,
}
"""Of no port's type."""
MATCHES: dict[str, Callable[[], Any]] = {
    "match": lambda: Match("r", "allow", ""),
    "othermatch": lambda: [OtherMatch("r", "allow", "")],
    "verdict": lambda: [Match("r", "Allow", "")],  # pyright: ignore[reportArgumentType]
    "noname": lambda: [Match(None, "allow", "")],  # pyright: ignore[reportArgumentType]
    "oddreason": lambda: [Match("r", "allow", Odd())],  # pyright: ignore[reportArgumentType]
    "badquorum": lambda: [Match("r", "allow", "", "finance")],  # pyright: ignore[reportArgumentType]
}
"""Nearly what a policy engine answers."""
APPROVERS: dict[str, Callable[[], Any]] = {
    "otherapprover": lambda: OtherApprover(subject="ann", method="badge"),
    "method": lambda: Approver(subject="ann", method="signed"),
    "unchecked": lambda: Approver.model_construct(subject=7, roles=None, method="badge"),
    "approverclass": lambda: Approver,
    "approverdict": lambda: Approver(subject="ann", method="badge").model_dump(),
    "approvers": lambda: [Approver(subject="ann", method="badge")],
}
"""Nearly what a verifier whose method is ``badge`` answers."""
ENDS: dict[str, Callable[[], Any]] = {
    "exits": lambda: _raise(SystemExit(0)),
    "interrupts": lambda: _raise(KeyboardInterrupt()),
    "cancels": lambda: _raise(asyncio.CancelledError()),
    "closes": lambda: _raise(GeneratorExit()),
    "bare": lambda: _raise(BaseException("bare")),
}
"""No answer, and no ``Exception`` either."""
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "dict": lambda parts: dict(enumerate(parts)),
    "pair": lambda parts: (parts, None),
    "generator": iter,
}


def kind_of(random: Random, also: Iterable[str] = (), without: frozenset[str] = frozenset()) -> str:
    """A kind of wrong answer, by name; one in three has others in it."""
    own = sorted({*also} - without)
    if own and random.random() < 0.3:
        return random.choice(own)
    if random.random() < 0.6:
        return random.choice(sorted(PLAIN.keys() - without))
    inner = random.choices(sorted(PLAIN.keys() - {"raises"}), k=random.randint(1, 2))
    return f"{random.choice(sorted(_CONTAINERS))}:{'+'.join(inner)}"


def made(kind: str) -> Any:
    """An answer of a kind."""
    outer, is_nested, inner = kind.partition(":")
    if is_nested:
        return _CONTAINERS[outer]([made(one) for one in inner.split("+") if one])
    return {**PLAIN, **MATCHES, **APPROVERS, **ENDS}[kind]()


async def answered(kind: str) -> Any:
    """The same, of a coroutine, which may hang."""
    if kind == "hang":
        await asyncio.sleep(3_600)
    return made(kind)
