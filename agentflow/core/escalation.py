"""A run that waits for a person: which resolutions count, and how many people it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from agentflow.contracts.approval import Approver
from agentflow.contracts.escalation import (
    EffectInDoubt,
    Escalation,
    Resolution,
    ResolutionAction,
    SaidWord,
)
from agentflow.contracts.identity import Consent, LatestWord, RefusedAttempt
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.answer import AnswerForm
from agentflow.core.approval import MAX_REFUSED_SHOWN, Refusal, no_longer, too_late, with_names
from agentflow.core.consents import TAKEN_BACK, clash, outdated, uses_up, with_latest
from agentflow.core.person import has_one_of, same_person
from agentflow.core.schema import SchemaCheck

MAX_WORDS = 40
"""Of people who don't agree: where names are only stated, whoever may signal could make up any number."""
MAX_SHOWN = 2_000
"""Characters of a text that others are shown: what an escalation holds must fit a query's answer."""
MAX_NAMES = 200
"""Characters of all names together, as the ledger takes them."""


@dataclass(frozen=True)
class PossibleAnswer:
    """What a person may say of a write, and what they must say with it."""

    action: ResolutionAction
    needs: Literal["text", "result"] | None = "text"


def answers_to(effect: EffectInDoubt) -> tuple[PossibleAnswer, ...]:
    """What a person may say of a write."""
    abort = PossibleAnswer("abort")
    if effect.earlier is None:
        return PossibleAnswer("happened", "result"), PossibleAnswer("did_not_happen"), abort
    if effect.earlier.other_arguments:
        return PossibleAnswer("again"), abort
    on_record = effect.earlier.state == "done"
    return PossibleAnswer("count", None if on_record else "result"), PossibleAnswer("again"), abort


@dataclass(frozen=True)
class OpenEscalation:
    """An escalation, what a person's word must fit, and what people have said so far."""

    escalation: Escalation
    form: AnswerForm[Json] | None = None
    """Of the answer, if a person may supply one."""
    output_check: SchemaCheck | None = None
    """Of the tool's output, for a write in doubt."""
    outcome: Resolution | None = None
    """Once enough people say the same; ``by`` names whom the verifier proved."""
    latest: tuple[LatestWord, ...] = ()
    """What each person signed last on it, also where that did not count."""
    sent: tuple[Resolution, ...] = ()
    """What those sent whose ``words`` are shown, whole, and in the same order."""

    def with_refused(self, attempt: RefusedAttempt) -> "OpenEscalation":
        """Remember an answer that did not count: others should know of it."""
        last = (*self.escalation.refused, attempt)[-MAX_REFUSED_SHOWN:]
        told = {"refused": last, "refusals": self.escalation.refusals + 1}
        return replace(self, escalation=self.escalation.model_copy(update=told))

    def with_latest(self, consent: Consent, resolution: Resolution) -> "OpenEscalation":
        """Remember what somebody signed, whether or not it counts: nothing that they signed earlier does."""
        told = replace(self, latest=with_latest(self.latest, consent, resolution.word_hash))
        # What is answered stands, until it is open again.
        return told if self.outcome is not None else told.keeping(lambda consent: True)

    def keeping(self, stands: Callable[[Consent], bool]) -> "OpenEscalation":
        """Take back the words of those who no longer count. An outcome that rests on one is open again."""
        if self.outcome is not None and self.outcome.action == "abort":
            return self
        words = self.escalation.words
        kept = tuple(word for word in words if stands(word.consent))
        if self.outcome is not None and kept == words:
            return self
        # Who said otherwise while it was answered was refused, and is heard now that it is open again.
        agree = tuple(word for word in kept if not outdated(word.consent, word.word_hash, self.latest))
        return self if agree == words else self.with_words(agree)

    def with_words(self, words: tuple[SaidWord, ...]) -> "OpenEscalation":
        """Have these words only. The others can't be sent again, only signed anew.

        It is open again, unless those who are left are enough, and say the same.
        """
        latest, gone = self.latest, list[str]()
        for word in self.escalation.words:
            if word not in words:
                latest = with_latest(latest, word.consent, TAKEN_BACK)
                gone.append(word.consent.name)
        both = zip(self.escalation.words, self.sent, strict=True)
        sent = tuple(resolution for word, resolution in both if word in words)
        taken_back = with_names(self.escalation.taken_back, gone)
        told = self.escalation.model_copy(update={"words": words, "taken_back": taken_back})
        return replace(self, escalation=told, latest=latest, sent=sent)._counted()

    def _counted(self) -> "OpenEscalation":
        """With the outcome that its words come to, if they do."""
        words = self.escalation.words
        is_agreed = (
            len(words) >= self.escalation.quorum.people and len({word.word_hash for word in words}) == 1
        )
        return replace(self, outcome=self.sent[-1].model_copy(update=_agreed(words)) if is_agreed else None)

    def saying(self, word: SaidWord, resolution: Resolution) -> "OpenEscalation":
        """With a person's word, in the place of the one that they said before."""
        both = zip(self.escalation.words, self.sent, strict=True)
        others = [(one, whole) for one, whole in both if not same_person(one.consent.by, word.consent.by)]
        words = (*(one for one, _ in others), word)
        told = self.escalation.model_copy(update={"words": words})
        latest = with_latest(self.latest, word.consent, resolution.word_hash)
        sent = (*(whole for _, whole in others), resolution)
        return replace(self, escalation=told, latest=latest, sent=sent)._counted()


def judge_resolution(
    open_one: OpenEscalation | None, resolution: Resolution, approver: Approver | Refusal, now: datetime
) -> OpenEscalation | Refusal:
    """Count one person's word, or say why it does not count.

    Anybody who is somebody may abort. Anything else needs the quorum, with its roles and without the person
    who asked for the run; all who have said something must say the same, and who says otherwise holds it up
    until they agree. A person's new word takes the place of the one before, if it was not signed earlier.

    Args:
        open_one: What is escalated.
        resolution: The payload.
        approver: Who it is, by the verifier, or why the identity does not hold.
        now: When the answer came.
    """
    if problem := unfit(open_one, resolution):
        return Refusal(problem)
    assert open_one is not None  # unfit otherwise
    if isinstance(approver, Refusal):
        return approver
    escalation, consent = open_one.escalation, approver.consent
    since = outdated(consent, resolution.word_hash, open_one.latest)
    if refusal := Refusal(since) if since else too_late(escalation.deadline, now):
        return refusal
    if resolution.action == "abort":
        return replace(open_one, outcome=resolution.model_copy(update={"by": _named([consent])}))
    others = tuple(word for word in escalation.words if not same_person(word.consent.by, consent.by))
    word = SaidWord(
        consent=consent,
        action=resolution.action,
        text=resolution.text[:MAX_SHOWN],
        result=_shown(resolution.result),
        word_hash=resolution.word_hash,
    )
    if problem := _may_not(escalation, consent, others, now) or _adds_nothing(escalation, others, word):
        return Refusal(problem)
    return open_one.saying(word, resolution)


def unfit(open_one: OpenEscalation | None, resolution: Resolution) -> str | None:
    """Why a resolution would not count whoever sent it; ``None`` if it may."""
    if open_one is None or elsewhere(open_one, resolution):
        return elsewhere(open_one, resolution)
    if open_one.outcome is not None:
        return f"{open_one.escalation.id} is answered already"
    if (effect := open_one.escalation.effect) is None:
        return _unfit(open_one, resolution)
    check = _unfit_for_an_earlier if effect.earlier else _unfit_for_an_effect
    return check(open_one, resolution)


def elsewhere(open_one: OpenEscalation | None, resolution: Resolution) -> str | None:
    """Why a resolution is not about what is open; ``None`` if it is."""
    if open_one is None:
        return "nothing is escalated"
    if resolution.escalation_id not in (None, open_one.escalation.id):
        return f"{resolution.escalation_id} is not open; {open_one.escalation.id} is"
    return None


def people_missing(escalation: Escalation) -> int:
    """How many more people must say the same, at least."""
    return max(escalation.quorum.people - len(escalation.words), 0)


def unanswered(escalation: Escalation) -> str:
    """What became of an escalation that people did not resolve in time: who said what, of how many."""
    words, until = escalation.words, escalation.deadline.isoformat()
    if words:
        agree = len({word.word_hash for word in words}) == 1
        answered = f"{len(words)} of {escalation.quorum.people} people" if agree else f"{len(words)} people"
        said = ", ".join(f"{word.consent.name}: {word.action}" for word in words)
        came = f"{answered} answered{'' if agree else ' and did not agree'} ({said[:MAX_SHOWN]})"
    else:
        is_any = escalation.refusals or escalation.taken_back
        came = "no answer counted" if is_any else "nobody took over"
    refused = f"; answers that did not count: {escalation.refusals}" if escalation.refusals else ""
    again = [word.consent.name for word in words]
    return f"{came} before {until}{refused}{no_longer('answered', escalation.taken_back, again)}"


def _may_not(
    escalation: Escalation, consent: Consent, others: tuple[SaidWord, ...], now: datetime
) -> str | None:
    if escalation.requested_by and uses_up(consent, escalation.requested_by):
        return f"{escalation.requested_by} asked for this run and may only abort it"
    roles = escalation.roles_at(now)
    if roles and not has_one_of(consent.roles, roles):
        return f"{consent.name} has none of the roles {', '.join(roles)}"
    return clash(consent, [word.consent for word in others])


def _adds_nothing(escalation: Escalation, others: tuple[SaidWord, ...], word: SaidWord) -> str | None:
    before = next((one for one in escalation.words if one not in others), None)
    if before is not None and before.word_hash == word.word_hash:
        return f"{word.consent.name} has said so already; another person is needed"
    if len(others) >= MAX_WORDS:
        return f"{len(others)} people have said something; only abort counts any more"
    return None


def _agreed(words: tuple[SaidWord, ...]) -> dict[str, Json]:
    """What several people's same word comes to: their names, and what each of them wrote."""
    by = _named([word.consent for word in words])
    if len(words) == 1:
        return {"by": by}
    texts = "; ".join(f"{word.consent.name}: {word.text}" for word in words if word.text)
    return {"by": by, "text": texts[:20_000]}


def _named(consents: Sequence[Consent]) -> str:
    names = " and ".join(consent.name for consent in consents)
    return names if len(names) <= MAX_NAMES else f"{names[: MAX_NAMES - 1]}…"


def _shown(result: Json) -> Json:
    """A result, for others to see; of one that is too long for that there is the hash."""
    return result if len(canonical_json(result)) <= 2 * MAX_SHOWN else None


def _unfit(open_one: OpenEscalation, resolution: Resolution) -> str | None:
    match resolution.action:
        case "guide":
            return None if resolution.text.strip() else "guide needs a text"
        case "abort":
            return None
        case "happened" | "did_not_happen" | "count" | "again":
            return "no write is in doubt; guide, answer or abort"
        case "answer" if open_one.form is None:
            return "this escalation takes no answer; guide or abort"
        case "answer":
            assert open_one.form is not None
            problem = open_one.form.fits(resolution.answer)
            return f"the answer does not fit: {problem}" if problem else None


def _unfit_for_an_effect(open_one: OpenEscalation, resolution: Resolution) -> str | None:
    match resolution.action:
        case "happened":
            return _unfit_result(open_one, resolution)
        case "did_not_happen" | "abort":
            return None
        case "guide" | "answer" | "count" | "again":
            return "a write is in doubt: say happened (with its result), did_not_happen or abort"


def _unfit_for_an_earlier(open_one: OpenEscalation, resolution: Resolution) -> str | None:
    effect = open_one.escalation.effect
    assert effect is not None
    assert effect.earlier is not None  # else it is another escalation
    is_done = effect.earlier.state == "done"
    if resolution.action not in [answer.action for answer in answers_to(effect)]:
        count = "count, " if is_done else "count (with its result), "
        can_count = "" if effect.earlier.other_arguments else count
        return f"an earlier write stands in the way of this one: say {can_count}again or abort"
    if resolution.action != "count":
        return None
    if is_done:
        return None if resolution.result is None else "its result is on record: leave result out"
    return _unfit_result(open_one, resolution)


def _unfit_result(open_one: OpenEscalation, resolution: Resolution) -> str | None:
    check = open_one.output_check
    problem = check(resolution.result) if check else None
    return f"the result does not fit the tool's output: {problem}" if problem else None
