"""A run that waits for a person: which resolutions count."""

from dataclasses import dataclass

from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.wire import Json
from agentflow.core.answer import Accepted, AnswerForm, Unusable
from agentflow.core.approval import Refusal


@dataclass(frozen=True)
class OpenEscalation:
    """An escalation, and the form its answer must have if a person may supply one."""

    escalation: Escalation
    form: AnswerForm[Json] | None = None


def judge_resolution(open_one: OpenEscalation | None, resolution: Resolution) -> Resolution | Refusal:
    """Accept a person's resolution, or say why it does not count."""
    if open_one is None:
        return Refusal("nothing is escalated")
    if resolution.escalation_id not in (None, open_one.escalation.id):
        return Refusal(f"{resolution.escalation_id} is not open; {open_one.escalation.id} is")
    if resolution.action == "guide" and not resolution.text.strip():
        return Refusal("guide needs a text")
    if resolution.action != "answer":
        return resolution
    if open_one.form is None:
        return Refusal("this escalation takes no answer; guide or abort")
    checked: Accepted[Json] | Unusable = open_one.form.validate(resolution.answer)
    return (
        Refusal(f"the answer does not fit: {checked.problem}")
        if isinstance(checked, Unusable)
        else resolution
    )
