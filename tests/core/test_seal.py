"""One seal is good for one thing, and for nothing that differs from it in any part."""

from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentflow.core.seal import ANY_EXECUTION, Scope, Seal, SealKeys

KEYS = SealKeys("k1", {"k1": b"1" * 32, "k2": b"2" * 32})

texts = st.text(max_size=12)
scopes = st.builds(
    Scope,
    purpose=texts,
    namespace=texts,
    workflow_id=texts,
    chain=texts,
    run_id=texts,
    call=texts,
    expires=st.integers(0, 10**12),
    attempts=st.integers(0, 9),
)
metadata = st.dictionaries(st.text(max_size=6), st.binary(max_size=6), max_size=3)
sealed_values = st.tuples(scopes, metadata, st.binary(max_size=20))


@given(sealed_values, sealed_values)
def test_two_things_that_differ_in_any_part_have_two_messages(one: Any, other: Any) -> None:
    messages = [scope.message(about, data) for scope, about, data in (one, other)]
    assert (messages[0] == messages[1]) == (one == other)


@given(sealed_values, st.data())
def test_what_moves_from_one_part_to_its_neighbour_is_something_else(sealed: Any, data: Any) -> None:
    scope, about, payload = sealed
    names = [field.name for field in fields(Scope) if field.type in (str, "str")]
    at = data.draw(st.integers(0, len(names) - 2))
    left, right = getattr(scope, names[at]), getattr(scope, names[at + 1])
    moved = replace(scope, **{names[at]: left + right, names[at + 1]: ""})
    assert (moved.message(about, payload) == scope.message(about, payload)) == (moved == scope)


@given(sealed_values, st.integers(0, 127))
def test_a_code_with_any_bit_changed_is_not_genuine(sealed: Any, bit: int) -> None:
    scope, about, payload = sealed
    message = scope.message(about, payload)
    kid, mac = KEYS.mac(message)
    changed = bytearray(mac)
    changed[bit // 8] ^= 1 << bit % 8
    assert KEYS.is_genuine(kid, message, mac)
    assert not KEYS.is_genuine(kid, message, bytes(changed))
    assert not KEYS.is_genuine("k2", message, mac)
    assert not KEYS.is_genuine("k3", message, mac)
    assert not KEYS.is_genuine(kid, message, mac[:8])


def test_a_seal_is_read_as_it_was_written() -> None:
    scope = Scope("argument:pay", "default", "w", "chain-1", "run-2", "call:3", 1_800_000_000, 4)
    seal = Seal.over(scope, KEYS.mac(scope.message({}, b"")))
    assert Seal.read(str(seal)) == Seal.read(str(seal).encode()) == seal
    first = Seal.over(replace(scope, run_id="chain-1"), KEYS.mac(b""))
    assert Seal.read(str(first)) == first
    uuids = replace(seal, chain=str(UUID(int=7)), run_id=str(UUID(int=2**128 - 1)))
    assert Seal.read(str(uuids)) == uuids
    assert len(str(uuids)) < len(str(replace(uuids, chain="c" * 36, run_id="r" * 36)))
    nowhere = Seal("k1", bytes(16), ANY_EXECUTION, ANY_EXECUTION, ANY_EXECUTION, 0)
    assert Seal.read(str(nowhere)) == nowhere


@given(st.one_of(st.text(), st.binary(), st.text(alphabet="1.k-0a~", max_size=60)))
@example(f"1.k.0.0.-..-.{'A' * 21}B")
@example(f"1.k.0.0.~{'A' * 21}B..-.{'A' * 22}")
@example(f"1.k.0.0.~{'A' * 22}.~{'A' * 22}.-.{'A' * 22}")
@example(f"1.k.007.0.-..-.{'A' * 22}")
@example(f"1.k.0.0.-.-.-.{'A' * 22}")
@example(f"1.k.0.0.{UUID(int=0)}..-.{'A' * 22}")
def test_anything_else_is_no_seal_and_no_error(text: Any) -> None:
    seal = Seal.read(text)
    assert seal is None or str(seal) == (text if isinstance(text, str) else text.decode())


@pytest.mark.parametrize(
    ("current", "keys", "problem"),
    [
        ("k2", {"k1": b"1" * 32}, "not among the keys"),
        ("k1", {"k1": b"1" * 31}, "31 bytes"),
        ("k.1", {"k.1": b"1" * 32}, "no key id"),
        ("", {"": b"1" * 32}, "no key id"),
    ],
)
def test_keys_that_can_not_be_used_are_refused(current: str, keys: dict[str, bytes], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SealKeys(current, keys)


def test_keys_are_not_shown() -> None:
    assert "11111111" not in repr(KEYS)
