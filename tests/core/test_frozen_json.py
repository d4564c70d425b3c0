"""Rules look at a call, and can't change what others look at, or what its tool gets."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentflow import RuleContext, allow, deny
from agentflow.contracts.wire import canonical_json
from agentflow.core.frozen_json import frozen
from agentflow.core.policy import decide
from agentflow.core.provenance import PastCall
from tests.core.samples import rule_context

VALUE = {"to": ["eve", "ann"], "parcel": {"weight": 5}}

CHANGES: list[Callable[[Any], Any]] = [
    lambda value: value["to"].remove("eve"),
    lambda value: value["to"].sort(),
    lambda value: value["to"].append("bob"),
    lambda value: value["to"].__setitem__(0, "bob"),
    lambda value: value["to"].__iadd__(["bob"]),
    lambda value: value.pop("to"),
    lambda value: value.update(to=[]),
    lambda value: value.setdefault("x", 1),
    lambda value: value["parcel"].__setitem__("weight", 1),
    lambda value: value["parcel"].__delitem__("weight"),
    lambda value: value.__ior__({"to": []}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_rule_that_changes_what_it_looks_at_denies_and_changes_nothing(change: Any) -> None:
    arguments, output = copy.deepcopy(VALUE), copy.deepcopy(VALUE)
    context = replace(
        rule_context(arguments, past_calls=(PastCall("1", "look", {}, output),)), task_input=arguments
    )
    looks: list[Callable[[RuleContext], Any]] = [
        lambda context: context.arguments,
        lambda context: context.task_input,
        lambda context: context.outputs("look")[0],
    ]
    for look in looks:

        def condition(context: RuleContext, look: Any = look) -> bool:
            change(look(context))
            return False

        decision = decide([deny("d", reason="", when=condition), allow("a", reason="")], context)
        assert (decision.verdict, decision.rule) == ("deny", "error")
    assert arguments == output == VALUE


def test_what_is_frozen_is_json_as_before() -> None:
    value: Any = frozen(VALUE)
    assert value == VALUE
    assert json.dumps(value) == json.dumps(VALUE)
    assert canonical_json(value) == canonical_json(VALUE)
    for thawed in (copy.deepcopy(value), pickle.loads(pickle.dumps(value)), {**value}):
        thawed["x"] = 1
    assert sorted(value["to"]) == ["ann", "eve"]
