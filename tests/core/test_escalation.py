from typing import Any, cast

import pytest

from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.wire import Json
from agentflow.core.answer import AnswerForm, answer_form
from agentflow.core.approval import Refusal
from agentflow.core.escalation import OpenEscalation, judge_resolution
from tests.core.samples import DEADLINE

ESCALATION = Escalation(id="escalation-2", reason="stuck", deadline=DEADLINE, answerable=True)
ANSWERABLE = OpenEscalation(ESCALATION, cast(AnswerForm[Json], answer_form(int)))
GUIDABLE = OpenEscalation(ESCALATION)


def resolution(action: str, **fields: Any) -> Resolution:
    return Resolution.model_validate({"action": action, "by": "cy", **fields})


@pytest.mark.parametrize(
    "said",
    [
        resolution("guide", text="ask for the order"),
        resolution("abort"),
        resolution("answer", answer=7),
        resolution("abort", escalation_id="escalation-2"),
    ],
    ids=lambda said: said.action,
)
def test_a_fitting_resolution_counts(said: Resolution) -> None:
    assert judge_resolution(ANSWERABLE, said) == said


@pytest.mark.parametrize(
    ("open_one", "said", "why"),
    [
        (None, resolution("abort"), "nothing is escalated"),
        (ANSWERABLE, resolution("abort", escalation_id="escalation-1"), "escalation-1 is not open"),
        (ANSWERABLE, resolution("guide", text=" \n"), "needs a text"),
        (GUIDABLE, resolution("answer", answer=7), "takes no answer"),
        (ANSWERABLE, resolution("answer", answer="seven"), "does not fit"),
        (ANSWERABLE, resolution("answer"), "does not fit"),
    ],
    ids=["nothing open", "another one", "no guidance", "not answerable", "wrong type", "no answer"],
)
def test_another_is_refused_with_the_reason(
    open_one: OpenEscalation | None, said: Resolution, why: str
) -> None:
    refused = judge_resolution(open_one, said)
    assert isinstance(refused, Refusal)
    assert why in refused.reason
