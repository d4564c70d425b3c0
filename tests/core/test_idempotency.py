from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from tests.core.strategies import json_objects

calls = st.tuples(st.text(), st.text(), st.integers(0, 10_000), st.text())


@given(calls, calls)
def test_a_key_names_one_call_and_no_other(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert (ledger_key(*one) == ledger_key(*other)) == (one == other)


def test_a_key_is_the_same_today_as_when_it_was_first_made() -> None:
    # Written down: a change would make every retried write of a run under way a new one.
    assert ledger_key(run_root("default", "refund-1"), "0199", 3, "refund") == (
        "23e8385b561d8364bbda2a5bcc10c63552088948bc7fce95db882eaa16e5814c"
    )
    assert run_root("default", "refund-1") == (
        "cec63e34fb4cde476c096da235bba02156b793402d48a12d90dbec660b01ba87"
    )


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_a_root_names_one_run(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (run_root(*one) == run_root(*other)) == (one == other)


def test_names_that_run_into_each_other_are_told_apart() -> None:
    assert run_root("a", "bc") != run_root("ab", "c")
    assert ledger_key(run_root("a", "b"), "1", 1, "2c") != ledger_key(run_root("a", "b"), "1", 12, "c")


@given(json_objects, json_objects)
def test_arguments_hash_alike_only_if_they_are_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = arguments_hash("refund", one) == arguments_hash("refund", other)
    assert same == (repr(sorted_deeply(one)) == repr(sorted_deeply(other)))


def sorted_deeply(value: Any) -> Any:
    """A value whose text tells 1 from 1.0 and True, whatever the order of keys."""
    if isinstance(value, dict):
        return {key: sorted_deeply(value[key]) for key in sorted(value)}
    return [sorted_deeply(part) for part in value] if isinstance(value, list) else value


@given(json_objects)
def test_arguments_are_bound_to_their_tool(arguments: dict[str, Any]) -> None:
    assert arguments_hash("refund", arguments) != arguments_hash("mail", arguments)


@given(st.data(), json_objects)
def test_the_order_of_arguments_means_nothing(data: st.DataObject, arguments: dict[str, Any]) -> None:
    shuffled = dict(data.draw(st.permutations(list(arguments.items()))))
    assert arguments_hash("refund", shuffled) == arguments_hash("refund", arguments)
