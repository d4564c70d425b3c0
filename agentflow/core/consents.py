"""Whether the consents that an action rests on still count: by the keys, roles and revocations of now.

A consent is judged when it is given, when the wait for people ends, when the run goes on in a new execution,
and by each attempt of the write itself. All of them ask here.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agentflow.contracts.identity import ApproverKey, Consent, LatestWord
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.person import beyond, has_one_of, same_person, speaks_for

EVERY = ""
"""Among revoked delegations: none counts. No delegation has it for an id."""
TAKEN_BACK = ""
"""The word of a person whose last one no longer counts."""


@dataclass(frozen=True)
class Trust:
    """Whose word counts at a moment."""

    identity: str
    """How people prove who they are: ``trusted``, ``signed``, or the ``method`` of a verifier of one's
    own."""
    keys: Sequence[ApproverKey] | None
    """Those of now; ``None`` where nobody signs."""
    revoked: Collection[str]
    """Keys, by ``kid``, that are not to be believed whatever is said in ``keys``."""
    revoked_delegations: Collection[str]
    """Delegations, by ``jti``."""
    now: datetime


def objections_to(
    consents: Sequence[Consent], quorum: Quorum, trust: Trust, *, requested_by: str
) -> tuple[str, ...]:
    """Why an action may not rest on these consents; nothing if it may.

    Args:
        consents: Those that were counted.
        quorum: What the rule asked for. ``next_roles`` count: no consent was counted in one before its time.
        trust: Who may say yes now.
        requested_by: Who asked for the run, and may not approve its actions.
    """
    found = [
        objection
        for number, consent in enumerate(consents)
        if (objection := objection_to(consent, quorum, trust, requested_by=requested_by))
        or (objection := clash(consent, consents[:number]))
    ]
    if len(consents) < quorum.people:
        found.append(f"{len(consents)} agreed, and {quorum.people} must")
    return tuple(found)


def objection_to(consent: Consent, quorum: Quorum, trust: Trust, *, requested_by: str) -> str | None:
    """Why one consent does not count now; ``None`` if it does."""
    if uses_up(consent, requested_by):
        return f"{requested_by} asked for this run and may not approve its actions"
    roles = (*quorum.roles, *quorum.next_roles)
    if roles and not has_one_of(consent.roles, roles):
        return f"{consent.name} has none of the roles {', '.join(roles)}"
    if gone := sorted(set(consent.kids) & set(trust.revoked)):
        return f"the key {gone[0]} is revoked"
    used = consent.delegation
    if used is not None and is_revoked_delegation(used.id, trust.revoked_delegations):
        return f"the delegation {used.id} is revoked"
    if used is not None and used.until <= trust.now.timestamp():
        return f"the delegation {used.id} expired at {used.until}"
    return next(_objections_by_key(consent, trust), None) if trust.identity == "signed" else None


def stands_for(quorum: Quorum, trust: Trust, requested_by: str) -> Callable[[Consent], bool]:
    """Whether a consent still counts for an action, on its own."""
    return lambda consent: objection_to(consent, quorum, trust, requested_by=requested_by) is None


def clash(consent: Consent, others: Sequence[Consent]) -> str | None:
    """Why a consent adds nobody to those that are there; ``None`` if it does.

    Whoever stands in for somebody uses up both, and so does a key: one that signs for many people is one
    voice, whomever it names.
    """
    for other in others:
        if any(uses_up(consent, name) for name in people_of(other)):
            return f"the word of {other.name} counts already; another person is needed"
        if shared := sorted(set(consent.kids) & set(other.kids)):
            return (
                f"the consent of {other.name} rests on the key {shared[0]} already; another key is needed: "
                "one that signs for several people counts once for an action"
            )
        if set(consent.key_hashes) & set(other.key_hashes):
            return f"the consent of {other.name} rests on the same key by another name; another key is needed"
    return None


def outdated(consent: Consent, word: str, latest: Sequence[LatestWord]) -> str | None:
    """Why a person's signed word does not count since they signed another one later; ``None`` if it may.

    Whoever saw a token can send it again, at any time until it expires: the order in which words come says
    nothing of what a person said last. Where no time is signed, that order is all there is.

    Args:
        consent: Who says it, and when they signed it.
        word: Two words are the same if this is.
        latest: What people signed last on the question.
    """
    last = _last_of(consent, latest)
    if last is None or consent.signed_at is None or last.at < consent.signed_at or last.word == word:
        return None
    last_at, this = (datetime.fromtimestamp(at, UTC).isoformat() for at in (last.at, consent.signed_at))
    if last.word == TAKEN_BACK:
        return (
            f"what {consent.name} signed at {last_at} no longer counts, and this is no newer ({this}): "
            "sign it anew if it is meant"
        )
    return (
        f"{consent.name} signed otherwise at {last_at}, and this at {this}: what was signed later stands, of "
        "one second what came first; sign anew what is meant"
    )


def with_latest(latest: Sequence[LatestWord], consent: Consent, word: str) -> tuple[LatestWord, ...]:
    """What people signed last, now that this person's word is known too."""
    at, last = consent.signed_at, _last_of(consent, latest)
    if at is None or (last is not None and (at < last.at or (at == last.at and word != TAKEN_BACK))):
        return tuple(latest)
    others = (one for one in latest if one is not last)
    return (*others, LatestWord(by=consent.by, at=at, word=word))


def is_revoked_delegation(jti: str, revoked: Collection[str]) -> bool:
    """Whether a delegation isn't to be believed any more."""
    return jti in revoked or EVERY in revoked


def people_of(consent: Consent) -> tuple[str, ...]:
    """Whom a consent uses up."""
    return (consent.by,) if consent.on_behalf_of is None else (consent.by, consent.on_behalf_of)


def uses_up(consent: Consent, person: str) -> bool:
    """Whether a person may be one of those whom a consent uses up."""
    return any(same_person(name, person) for name in people_of(consent))


def key_hash(key: ApproverKey) -> Sha256:
    """Names a key by what it is; its ``kid`` may be another's later."""
    return sha256_of(key.jwk)


def gone_keys(before: Sequence[ApproverKey], after: Sequence[ApproverKey], now: datetime) -> tuple[str, ...]:
    """The keys that counted and no longer do: they are missing, are other keys by now, or are revoked."""
    still = {(key.kid, key_hash(key)) for key in after if not key.is_revoked(now)}
    return tuple(key.kid for key in before if (key.kid, key_hash(key)) not in still)


def objections_to_key(
    key: ApproverKey, subject: str, now: datetime, revoked: Collection[str] = ()
) -> Iterator[str]:
    """Why a key's word for a person does not count, or not now.

    Args:
        key: As it is listed.
        subject: The person.
        now: When their word arrives. When it was signed is what the signer says: a key that leaked signs at
            any time it likes.
        revoked: Keys, by ``kid``, that are not to be believed whatever their list says.
    """
    if key.kid in revoked or key.is_revoked(now):
        yield f"the key {key.kid} is revoked"
    if key.not_before and now < key.not_before:
        yield f"the key {key.kid} is not valid before {key.not_before.isoformat()}"
    if key.expires and now >= key.expires:
        yield f"the key {key.kid} expired at {key.expires.isoformat()}"
    if not speaks_for(key.subjects, subject):
        yield f"the key {key.kid} does not speak for {subject}"


def _last_of(consent: Consent, latest: Sequence[LatestWord]) -> LatestWord | None:
    return next((one for one in latest if same_person(one.by, consent.by)), None)


def _objections_by_key(consent: Consent, trust: Trust) -> Iterator[str]:
    """What the keys of now say of a consent that was signed."""
    people = [consent.by] if consent.on_behalf_of is None else [consent.by, consent.on_behalf_of]
    if len(consent.kids) != len(people):
        yield f"the consent of {consent.name} names {len(consent.kids)} keys, not {len(people)}"
        return
    known = {key.kid: key for key in trust.keys or ()}
    for number, (kid, subject) in enumerate(zip(consent.kids, people, strict=True)):
        key = known.get(kid)
        if key is None:
            yield f"the key {kid} is unknown"
            return
        if consent.key_hashes and consent.key_hashes[number : number + 1] != (key_hash(key),):
            yield f"the key {kid} is another key by now"
        yield from objections_to_key(key, subject, trust.now, trust.revoked)
        # In whose roles they said it: of two, the second lets the first decide.
        if number == len(people) - 1 and (unheld := beyond(consent.roles, key.roles)):
            yield f"the key {kid} may not give the role {', '.join(unheld)}"
