"""The log's bytes are RFC 8785's, and its tree is RFC 6962's."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from agentflow.audit.chain import leaf_hash, line_of, merkle_root
from agentflow.contracts.audit import Record
from agentflow.contracts.wire import Sha256

# What the log of Certificate Transparency is tested with (RFC 6962's reference implementation).
LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
_PLAIN = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(_PLAIN), inner, max_size=3),
    max_leaves=8,
)


def _record(facts: dict[str, object]) -> Record:
    return Record(
        seq=0,
        at="2026-05-01T10:00:00+00:00",
        kind="gap",
        run="r",
        execution="e",
        facts=facts,
        previous=ROOTS[0],
    )


@given(st.dictionaries(st.text(_PLAIN), _VALUES, max_size=4))
def test_a_line_is_what_rfc_8785_makes_of_the_record(facts: dict[str, object]) -> None:
    record = _record(facts)
    assert line_of(record) == rfc8785.dumps(record.model_dump(mode="json"))


@pytest.mark.parametrize("facts", [{"a": 0.5}, {"a": [{"b": 1.0}]}], ids=["plain", "nested"])
def test_a_record_holds_no_floats(facts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no floats"):
        line_of(_record(facts))


@pytest.mark.parametrize("count", range(9))
def test_the_root_is_the_one_of_certificate_transparency(count: int) -> None:
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES[:count]]
    assert merkle_root(leaves) == Sha256(ROOTS[count])
