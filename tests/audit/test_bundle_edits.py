"""Whatever is done to a file, a link or a folder of a bundle is found, in each form that a bundle has."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agentflow.audit.bundle import DECISIONS, DIGEST, TEXTS
from agentflow.audit.cover import INCIDENT, SHARED
from agentflow.audit.signing import ExportSigner
from agentflow.audit.verify import Verdict, verify_incident
from benchmarks.attacks.edits import EDITS, snapshot_of
from tests.audit.places import Desk, recorded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")

Verify = Callable[[Desk, Path], Awaitable[Verdict]]

FORMS: dict[str, Verify] = {
    "bundle": lambda desk, place: desk.verify(place),
    "shared": lambda desk, place: desk.verify(place, log_only=True),
    "incident": lambda desk, place: verify_incident(place, desk.signer.public, desk.keys),
}


@pytest.fixture(scope="session")
async def forms(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A home with a bundle in each form."""
    home = tmp_path_factory.mktemp("forms") / "home"
    shutil.copytree(made, home)
    desk = Desk(home)
    await desk.share(home / "bundle", home / "shared")
    await desk.export_incident(home / "incident", [recorded("circling"), recorded("signed")])
    return desk


@pytest.fixture
def own(forms: Desk, tmp_path: Path) -> Desk:
    """A copy that may be spoiled."""
    shutil.copytree(forms.home, tmp_path / "home")
    return Desk(tmp_path / "home")


@pytest.mark.parametrize("form", FORMS)
async def test_a_form_that_nobody_touched_verifies(forms: Desk, form: str) -> None:
    verdict = await FORMS[form](forms, forms.home / form)
    assert verdict.problems == []
    assert verdict.ok


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(FORMS)), st.sampled_from(sorted(EDITS)), st.randoms(use_true_random=False))
def test_an_edit_of_any_file_of_any_form_is_found(forms: Desk, form: str, kind: str, random: Random) -> None:
    with TemporaryDirectory() as directory:
        place = Path(directory) / form
        shutil.copytree(forms.home / form, place)
        before = snapshot_of(place)
        EDITS[kind](random, place)
        assume(snapshot_of(place) != before)
        verdict = asyncio.run(FORMS[form](forms, place))  # pyright: ignore[reportArgumentType]
        assert verdict.problems


@pytest.mark.parametrize("form", FORMS)
async def test_a_pipe_in_the_place_of_any_file_is_named_and_holds_nobody_up(own: Desk, form: str) -> None:
    directory = own.home / form
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        data = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        async with asyncio.timeout(10):
            problems = (await FORMS[form](own, directory)).problems
        assert path.name in " ".join(problem.where for problem in problems)
        path.unlink()
        path.write_bytes(data)


async def test_forged_texts_are_named(own: Desk) -> None:
    texts = own.home / "shared" / TEXTS
    texts.write_bytes(texts.read_bytes().replace(b"texts", b"taxes", 1))
    found = (await FORMS["shared"](own, own.home / "shared")).problems
    assert [(each.kind, each.where) for each in found] == [("changed_file", TEXTS)]


async def test_texts_that_were_taken_out_together_with_what_vouches_for_them_are_missed(own: Desk) -> None:
    for name in (TEXTS, SHARED):
        (own.home / "shared" / name).unlink()
    found = (await FORMS["shared"](own, own.home / "shared")).problems
    assert [(each.kind, each.where) for each in found] == [("missing_file", SHARED)]


async def test_texts_of_another_bundle_do_not_pass_for_a_bundle_s_own(own: Desk) -> None:
    await own.export(own.home / "other", [recorded("told-of-approvals")])
    await own.share(own.home / "other", own.home / "others")
    for name in (TEXTS, SHARED):
        shutil.copy(own.home / "others" / name, own.home / "shared" / name)
    found = (await FORMS["shared"](own, own.home / "shared")).problems
    assert ("digest", SHARED) in [(each.kind, each.where) for each in found]


async def test_a_cover_of_another_form_is_none(own: Desk) -> None:
    incident = own.home / "incident"
    shutil.copy(incident / INCIDENT, incident / "bundle" / SHARED)
    shutil.rmtree(incident / "bundle" / "contents")
    found = (await own.verify(incident / "bundle", log_only=True)).problems
    assert ("digest", SHARED) in [(each.kind, each.where) for each in found]


async def test_what_another_key_signed_for_is_not_shared(own: Desk) -> None:
    other = ExportSigner.load_or_make(own.home / "other.pem")
    (own.home / "other.pem").replace(own.home / "signing-key.pem")
    with pytest.raises(Exception, match=other.public.fingerprint):
        await own.share(own.home / "bundle", own.home / "again")
    assert not (own.home / "again").exists()


async def test_what_is_no_longer_as_it_was_signed_is_not_shared(own: Desk) -> None:
    log = own.home / "bundle" / DECISIONS
    log.write_bytes(log.read_bytes().replace(b'"ann"', b'"eve"', 1))
    with pytest.raises(Exception, match="isn't as it was signed"):
        await own.share(own.home / "bundle", own.home / "again")


async def test_a_digest_that_never_ends_is_not_read(own: Desk) -> None:
    digest = own.home / "bundle" / DIGEST
    digest.unlink()
    os.mkfifo(digest)
    assert [each.where for each in (await own.verify(own.home / "bundle")).problems] == [DIGEST]
