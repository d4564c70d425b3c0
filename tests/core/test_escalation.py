from typing import Any, cast

import pytest

from agentflow.contracts.escalation import EffectInDoubt, Escalation, Resolution
from agentflow.contracts.wire import Json, ToolCallId, sha256_of
from agentflow.core.answer import AnswerForm, answer_form
from agentflow.core.approval import Refusal
from agentflow.core.escalation import OpenEscalation, judge_resolution
from agentflow.core.schema import compile_schema
from tests.core.samples import DEADLINE

ESCALATION = Escalation(id="escalation-2", reason="stuck", deadline=DEADLINE, answerable=True)
ANSWERABLE = OpenEscalation(ESCALATION, cast(AnswerForm[Json], answer_form(int)))
GUIDABLE = OpenEscalation(ESCALATION)
EFFECT = EffectInDoubt(
    key=sha256_of("key"), tool="refund", tool_call_id=ToolCallId("1"), arguments={}, detail="cut"
)
DOUBTFUL = OpenEscalation(
    ESCALATION.model_copy(update={"effect": EFFECT}),
    output_check=compile_schema({"type": "string"}, "the output of refund"),
)


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
    "said",
    [resolution("happened", result="paid"), resolution("did_not_happen"), resolution("abort")],
    ids=lambda said: said.action,
)
def test_a_word_on_what_happened_counts_where_that_is_in_doubt(said: Resolution) -> None:
    assert judge_resolution(DOUBTFUL, said) == said


@pytest.mark.parametrize(
    ("open_one", "said", "why"),
    [
        (None, resolution("abort"), "nothing is escalated"),
        (ANSWERABLE, resolution("abort", escalation_id="escalation-1"), "escalation-1 is not open"),
        (ANSWERABLE, resolution("guide", text=" \n"), "needs a text"),
        (GUIDABLE, resolution("answer", answer=7), "takes no answer"),
        (ANSWERABLE, resolution("answer", answer="seven"), "does not fit"),
        (ANSWERABLE, resolution("answer"), "does not fit"),
        (ANSWERABLE, resolution("happened", result="x"), "no write is in doubt"),
        (GUIDABLE, resolution("did_not_happen"), "no write is in doubt"),
        (DOUBTFUL, resolution("guide", text="go on"), "say happened"),
        (DOUBTFUL, resolution("answer", answer=7), "say happened"),
        (DOUBTFUL, resolution("happened"), "does not fit the tool's output"),
        (DOUBTFUL, resolution("happened", result=7), "does not fit the tool's output"),
    ],
    ids=[
        "nothing open",
        "another one",
        "no guidance",
        "not answerable",
        "wrong type",
        "no answer",
        "nothing happened",
        "nothing could have happened",
        "guidance on a doubt",
        "an answer to a doubt",
        "no result",
        "a result of another type",
    ],
)
def test_another_is_refused_with_the_reason(
    open_one: OpenEscalation | None, said: Resolution, why: str
) -> None:
    refused = judge_resolution(open_one, said)
    assert isinstance(refused, Refusal)
    assert why in refused.reason
