"""What a person needs to know of an action to decide on it: one page, whoever shows it."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation, SaidWord
from agentflow.contracts.identity import RefusedAttempt
from agentflow.contracts.requester import RequesterProof
from agentflow.contracts.rules import Quorum
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.visible import visible
from agentflow.core.words import dollars, span

MAX_VALUE = 120
"""Characters of one value in a sentence; the exact arguments are on the page beside it."""
MAX_SENTENCE = 400

NOT_DONE = "it is not done; the model is told so, and goes on without it"
"""What happens to a tool call that people refuse."""
CODE_IS_TOLD = "the agent's own code is told, and decides how to go on"
"""What happens to an approval that the code asked for."""

_LAYOUT = re.compile(r"[ \t\r\n]+")
_TOKEN = re.compile(r"[\w.@:/+,-]+")


def sentence_of(tool: str, contract: ToolContract | None, arguments: Mapping[str, Json]) -> str:
    """An action in a sentence: the contract's own, or what its description and its arguments say.

    Free text in it stands in quotes: a value must not read as a part of the sentence.
    """
    if contract is not None and contract.sentence is not None:
        filled = re.sub(
            r"{{|}}|{(\w+)}",
            lambda found: _value(arguments.get(found[1])) if found[1] else found[0][0],
            contract.sentence,
        )
        return filled[:MAX_SENTENCE]
    said = tool
    if contract is not None and contract.description:
        said = re.split(r"(?<=[.!?])\s|\n", contract.description.strip(), maxsplit=1)[0].rstrip(".")
    shown = ", ".join(f"{name} {_value(value)}" for name, value in arguments.items())
    return (f"{said}: {shown}" if shown else said)[:MAX_SENTENCE]


def page(request: ApprovalRequest, now: datetime | None = None) -> tuple[tuple[str, str], ...]:
    """The page, as labels and what there is to say; the exact arguments go below it.

    Args:
        request: The action, with who agreed so far.
        now: For how long is left; without it the deadline stands alone.
    """
    said: list[tuple[str, str | None]] = [
        ("action", request.sentence or None),
        ("tool", f"{request.tool} ({request.effect})" if request.effect else request.tool),
        ("rule", f"{request.rule}: {request.reason}"),
        ("tier", f"{request.tier}; {identity_in_words(request.identity)}" if request.tier else None),
        ("people", _people(request)),
        ("agreed", ", ".join(request.approved_by) or None),
        ("not counted", _refused(request)),
        ("bound to", f"exactly these arguments, hash {request.arguments_hash}"),
        *(("not trusted", text) for text in _untrusted(request)),
        *_origins(request),
        ("cost", _cost(request)),
        ("if refused", request.on_refusal or None),
        ("deadline", _deadline(request.deadline, now)),
    ]
    return tuple((label, text) for label, text in said if text is not None)


def escalation_page(escalation: Escalation) -> tuple[tuple[str, str], ...]:
    """Who may answer an escalation, what was said so far, and what did not count."""
    quorum, words = escalation.quorum, escalation.words
    asked = f"; not {escalation.requested_by}, who asked for the run" if escalation.requested_by else ""
    same = " who say the same" if quorum.people > 1 else ""
    roles = _roles(quorum, escalation.next_roles_from)
    who = f"{quorum.people}{roles}{same}{_signed(escalation.identity)}{asked}; anybody may abort"
    said: list[tuple[str, str | None]] = [
        ("people", who),
        ("said so far", "; ".join(_word(word) for word in words) or None),
        ("not counted", _attempts(escalation.refused, escalation.refusals)),
    ]
    return tuple((label, text) for label, text in said if text is not None)


def people_needed(request: ApprovalRequest) -> int:
    """How many more people must agree."""
    return max(request.quorum.people - len(request.approved_by), 0)


def proof_in_words(proof: RequesterProof | None) -> str:
    """How it is verified who asked for a run."""
    match proof:
        case None:
            return "not verified"
        case "token":
            return "verified: the start is signed"
        case "header":
            return "verified by the gateway's header"


def identity_in_words(identity: str) -> str:
    """How people prove who they are."""
    match identity:
        case "trusted":
            return "approvers are taken at their word"
        case "signed":
            return "decisions are signed"
        case own:
            return f"approvers are verified by {own}"


def left(time: timedelta) -> str:
    """How long there is still time."""
    return f"in {span(time)}" if time > timedelta(0) else "over"


def _value(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Not every space: one that is shown as none, or as a break, is another text, and is written out.
    line = _LAYOUT.sub(" ", text).strip(" ")
    shown = line if len(line) <= MAX_VALUE else f"{line[:MAX_VALUE]}…"
    if isinstance(value, str) and not _TOKEN.fullmatch(shown):
        return visible(json.dumps(shown, ensure_ascii=False))
    return visible(shown)


def _people(request: ApprovalRequest) -> str:
    quorum = request.quorum
    roles, signed = _roles(quorum, request.next_roles_from), _signed(request.identity)
    asked = f"; not {request.requested_by}, who asked for the run ({proof_in_words(request.requester_proof)})"
    return f"{people_needed(request)} more of {quorum.people}{roles}{signed}{asked}"


def _roles(quorum: Quorum, next_roles_from: datetime | None) -> str:
    roles = f" with role {' or '.join(quorum.roles)}" if quorum.roles else ""
    if next_roles_from:
        from_then = next_roles_from.isoformat(timespec="seconds")
        roles += f" (from {from_then} also {' or '.join(quorum.next_roles)})"
    return roles


def _signed(identity: str) -> str:
    return ", signed" if identity == "signed" else ""


def _word(word: SaidWord) -> str:
    result = f" with the result {_value(word.result)}" if word.result is not None else ""
    text = f" ({_value(word.text)})" if word.text else ""
    return f"{word.consent.name}: {word.action}{result}{text}"


def _refused(request: ApprovalRequest) -> str | None:
    """What did not count so far, the last of it: the other approvers should know."""
    return _attempts(request.refused, request.refusals)


def _attempts(refused: Sequence[RefusedAttempt], count: int) -> str | None:
    if not refused:
        return None
    return f"{count} so far; the last by {refused[-1].by}: {refused[-1].reason}"


def _origins(request: ApprovalRequest) -> list[tuple[str, str | None]]:
    """Where values are from: first those that decide where it goes, or how much of it."""
    said = {name: f"{name} from {source}" for name, source in request.sources.items()}
    if request.sinks is None:
        return [("values", ", ".join(said.values()) or None)]
    at_stake = [text for name, text in said.items() if name in request.sinks]
    others = [text for name, text in said.items() if name not in request.sinks]
    return [("at stake", ", ".join(at_stake) or None), ("other values", ", ".join(others) or None)]


def _untrusted(request: ApprovalRequest) -> list[str]:
    """Why values are not trusted, a sentence each."""
    shown = ((one, f" {_value(one.value)}" if one.value else "") for one in request.untrusted)
    return [f"{one.argument}{value}: {one.why}" for one, value in shown]


def _cost(request: ApprovalRequest) -> str | None:
    if request.cost_usd is None:
        return None
    spent = "" if request.spent_usd is None else f"; the run has spent {dollars(request.spent_usd)} so far"
    return f"{dollars(request.cost_usd)} for the call itself{spent}"


def _deadline(deadline: datetime, now: datetime | None) -> str:
    remaining = f" ({left(deadline - now)})" if now else ""
    return f"{deadline.isoformat(sep=' ', timespec='seconds')}{remaining}; no answer is a refusal"
