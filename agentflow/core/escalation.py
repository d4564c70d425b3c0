"""A run that waits for a person: which resolutions count."""

from dataclasses import dataclass

from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.wire import Json
from agentflow.core.answer import Accepted, AnswerForm, Unusable
from agentflow.core.approval import Refusal
from agentflow.core.schema import SchemaCheck


@dataclass(frozen=True)
class OpenEscalation:
    """An escalation, and what a person's word must fit."""

    escalation: Escalation
    form: AnswerForm[Json] | None = None
    """Of the answer, if a person may supply one."""
    output_check: SchemaCheck | None = None
    """Of the tool's output, for a write in doubt."""


def judge_resolution(open_one: OpenEscalation | None, resolution: Resolution) -> Resolution | Refusal:
    """Accept a person's resolution, or say why it does not count."""
    if open_one is None:
        return Refusal("nothing is escalated")
    if resolution.escalation_id not in (None, open_one.escalation.id):
        return Refusal(f"{resolution.escalation_id} is not open; {open_one.escalation.id} is")
    unfit = _unfit_for_an_effect if open_one.escalation.effect else _unfit
    problem = unfit(open_one, resolution)
    return Refusal(problem) if problem else resolution


def _unfit(open_one: OpenEscalation, resolution: Resolution) -> str | None:
    match resolution.action:
        case "guide":
            return None if resolution.text.strip() else "guide needs a text"
        case "abort":
            return None
        case "happened" | "did_not_happen":
            return "no write is in doubt; guide, answer or abort"
        case "answer" if open_one.form is None:
            return "this escalation takes no answer; guide or abort"
        case "answer":
            assert open_one.form is not None
            checked: Accepted[Json] | Unusable = open_one.form.validate(resolution.answer)
            return f"the answer does not fit: {checked.problem}" if isinstance(checked, Unusable) else None


def _unfit_for_an_effect(open_one: OpenEscalation, resolution: Resolution) -> str | None:
    match resolution.action:
        case "happened":
            check = open_one.output_check
            problem = check(resolution.result) if check else None
            return f"the result does not fit the tool's output: {problem}" if problem else None
        case "did_not_happen" | "abort":
            return None
        case "guide" | "answer":
            return "a write is in doubt: say happened (with its result), did_not_happen or abort"
