"""Whatever is changed in a bundle is found, and the record is named."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.audit.bundle import CONTENTS, DECISIONS, DIGEST, LEAVES, MANIFEST, read_digest, sign
from agentflow.audit.chain import leaf_hash, merkle_root
from agentflow.audit.listing import listing_of
from agentflow.audit.log_check import check_lines, read_line
from agentflow.audit.signing import ExportSigner
from agentflow.audit.succession import verify_chain
from agentflow.audit.verify import verify
from agentflow.contracts.wire import Sha256, canonical_json
from tests.audit.places import Desk, recorded

Lines = list[bytes]


def _lines(bundle: Path) -> Lines:
    return (bundle / DECISIONS).read_bytes().splitlines()


def _put(bundle: Path, lines: Lines) -> None:
    (bundle / DECISIONS).write_bytes(b"".join(line + b"\n" for line in lines))


async def _found(desk: Desk, bundle: Path) -> list[tuple[str, str]]:
    return [(each.kind, each.where) for each in (await desk.verify(bundle)).problems]


async def test_a_bundle_that_nobody_touched_verifies(desk: Desk, bundle: Path) -> None:
    verdict = await desk.verify(bundle)
    assert verdict.problems == []
    assert (verdict.is_known_signer, verdict.opened, verdict.unopened) == (True, 4, 0)


async def test_one_byte_changed_in_any_file_is_found(desk: Desk, bundle: Path) -> None:
    for name in listing_of(bundle, (CONTENTS,)).files:
        path = bundle / name
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert not (await desk.verify(bundle)).ok, (name, place)
        path.write_bytes(whole)
    assert (await desk.verify(bundle)).ok


async def test_an_edited_record_is_named(desk: Desk, bundle: Path) -> None:
    lines = _lines(bundle)
    lines[7] = lines[7].replace(b'"kind":', b'"kind" :')
    _put(bundle, lines)
    assert ("edited", f"{DECISIONS}: record 7") in await _found(desk, bundle)


async def test_a_removed_record_is_named(desk: Desk, bundle: Path) -> None:
    lines = _lines(bundle)
    del lines[11]
    _put(bundle, lines)
    assert ("removed", f"{DECISIONS}: record 11") in await _found(desk, bundle)


async def test_an_inserted_record_is_named(desk: Desk, bundle: Path) -> None:
    lines = _lines(bundle)
    lines.insert(5, lines[5].replace(b'"event":', b'"event":9'))
    _put(bundle, lines)
    assert ("inserted", f"{DECISIONS}: line 5") in await _found(desk, bundle)


async def test_a_record_that_is_there_twice_is_named(desk: Desk, bundle: Path) -> None:
    lines = _lines(bundle)
    lines.insert(9, lines[2])
    _put(bundle, lines)
    assert ("inserted", f"{DECISIONS}: line 9") in await _found(desk, bundle)


async def test_records_in_another_order_are_named(desk: Desk, bundle: Path) -> None:
    lines = _lines(bundle)
    lines[3], lines[4] = lines[4], lines[3]
    _put(bundle, lines)
    assert ("moved", f"{DECISIONS}: record 3") in await _found(desk, bundle)


async def test_a_log_that_is_chained_anew_is_found_out(desk: Desk, bundle: Path) -> None:
    """Whoever edits a record and computes all hashes again, leaves included, lacks the signature."""
    previous, forged = Sha256("0" * 64), Lines()
    for number, line in enumerate(_lines(bundle)):
        record = json.loads(line)
        record["previous"] = previous
        if number == 6:
            record["facts"]["by"] = "somebody else"
        forged.append(json.dumps(record, sort_keys=True, separators=(",", ":")).encode())
        previous = leaf_hash(forged[-1])
    _put(bundle, forged)
    (bundle / LEAVES).write_bytes(b"".join(bytes.fromhex(leaf_hash(line)) for line in forged))
    found = await _found(desk, bundle)
    assert ("changed_file", DECISIONS) in found
    assert ("changed_file", LEAVES) in found


async def test_a_bundle_that_another_key_signed_is_found_out(
    desk: Desk, bundle: Path, tmp_path: Path
) -> None:
    other = ExportSigner.load_or_make(tmp_path / "other.pem")
    digest = read_digest(bundle).model_copy(update={"public_key": other.public.encoded})
    sign(bundle, digest, other)
    assert (await verify(bundle)).is_as_signed
    verdict = await desk.verify(bundle)
    assert [(each.kind, each.where) for each in verdict.problems] == [("signature", DIGEST)]
    assert not verdict.is_known_signer


async def test_without_a_key_to_expect_nobody_vouches_for_the_signer(bundle: Path) -> None:
    verdict = await verify(bundle)
    assert verdict.is_as_signed
    assert not verdict.ok


@pytest.mark.parametrize("name", [DECISIONS, LEAVES, MANIFEST, "contents/000001.bin"])
async def test_a_file_that_is_missing_is_named(desk: Desk, bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert ("missing_file", name) in await _found(desk, bundle)


async def test_a_file_that_nobody_signed_is_named(desk: Desk, bundle: Path) -> None:
    (bundle / "contents" / "000099.bin").write_bytes(b"more")
    assert ("unknown_file", "contents/000099.bin") in await _found(desk, bundle)


async def test_a_bundle_without_a_digest_is_none(desk: Desk, bundle: Path) -> None:
    (bundle / DIGEST).unlink()
    assert [kind for kind, _ in await _found(desk, bundle)] == ["digest"]


@pytest.mark.parametrize("name", [DIGEST, MANIFEST])
async def test_a_bundle_of_a_version_that_is_not_known_here_is_not_called_good(
    desk: Desk, bundle: Path, name: str
) -> None:
    document = json.loads((bundle / name).read_bytes())
    document["version"], document["more"] = 2, "than is known"
    (bundle / name).write_bytes(canonical_json(document) + b"\n")
    assert not (await desk.verify(bundle)).ok


async def test_contents_of_another_run_do_not_pass_for_a_run_s_own(desk: Desk, bundle: Path) -> None:
    shutil.copy(bundle / "contents" / "000002.bin", bundle / "contents" / "000001.bin")
    assert ("contents", "contents/000001.bin") in await _found(desk, bundle)


async def test_a_signature_that_is_no_base64_is_no_signature(desk: Desk, bundle: Path) -> None:
    document = json.loads((bundle / DIGEST).read_bytes())
    document["signature"] = base64.b64encode(b"x" * 64).decode()[:-1]
    (bundle / DIGEST).write_bytes(
        json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )
    assert ("signature", DIGEST) in await _found(desk, bundle)


MUTATIONS: dict[str, Callable[[Lines, int, int], Lines]] = {
    "edit": lambda lines, one, _: [*lines[:one], lines[one].replace(b"0", b"1", 1) + b" ", *lines[one + 1 :]],
    "drop": lambda lines, one, _: [*lines[:one], *lines[one + 1 :]],
    "insert": lambda lines, one, other: [*lines[:one], lines[other], *lines[one:]],
    "swap": lambda lines, one, other: [
        lines[other] if number == one else lines[one] if number == other else line
        for number, line in enumerate(lines)
    ],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_done_to_a_log_is_found(made: Path, data: st.DataObject) -> None:
    lines = _lines(made / "bundle")
    signed = [leaf_hash(line) for line in lines]
    places = st.integers(0, len(lines) - 1)
    one = data.draw(places)
    other = data.draw(places.filter(lambda place: place != one))
    mutated = data.draw(
        st.sampled_from(sorted(MUTATIONS)).map(lambda name: MUTATIONS[name](lines, one, other))
    )
    assert list(check_lines([read_line(line) for line in mutated], signed, DECISIONS))


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=12, unique=True), st.data())
def test_what_is_left_of_a_log_without_its_leaves_is_judged_by_its_chain(
    values: list[bytes], data: st.DataObject
) -> None:
    leaves = [leaf_hash(value) for value in values]
    shuffled = data.draw(st.permutations(leaves))
    assert (merkle_root(shuffled) == merkle_root(leaves)) is (shuffled == leaves)


async def test_exports_follow_each_other(desk: Desk, bundle: Path) -> None:
    await desk.export(desk.home / "second", [recorded("circling")])
    await desk.export(desk.home / "third", [recorded("circling")])
    verdicts = [await desk.verify(desk.home / name) for name in ("bundle", "second", "third")]
    assert all(verdict.ok for verdict in verdicts)
    assert verify_chain(verdicts) == []


async def test_an_export_that_is_missing_between_two_is_noticed(desk: Desk, bundle: Path) -> None:
    second = await desk.export(desk.home / "second", [recorded("circling")])
    await desk.export(desk.home / "third", [recorded("circling")])
    (problem,) = verify_chain([await desk.verify(desk.home / name) for name in ("bundle", "third")])
    assert problem.where == str(desk.home / "third")
    assert second.export in problem.detail


async def test_two_exports_in_one_place_are_noticed(desk: Desk, bundle: Path) -> None:
    last = (desk.home / "last.json").read_bytes()
    for name in ("second", "other"):
        (desk.home / "last.json").write_bytes(last)
        await desk.export(desk.home / name, [recorded("circling")])
    verdicts = [await desk.verify(desk.home / name) for name in ("bundle", "second", "other")]
    (problem,) = verify_chain(verdicts)
    assert "two exports" in problem.detail
