"""The runs' keys: made once, deleted for good."""

import asyncio
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentflow.adapters.key_directory import KeyDirectory
from agentflow.audit.bundle import read_manifest
from agentflow.audit.export import ExportSettings
from agentflow.audit.signing import ExportSigner, ExportVerifier, public_path
from agentflow.errors import AuditError
from tests.audit.half_way import failing_at
from tests.audit.places import Desk, recorded

SOON = datetime.now(UTC) + timedelta(days=30)


async def test_a_key_is_made_once(tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    first = await keys.obtain("run", SOON)
    assert first is not None
    assert len(first.key) == 32
    assert await keys.obtain("run", SOON + timedelta(days=9)) == first
    assert await keys.find("run") == first


async def test_of_many_that_want_a_key_at_once_all_get_the_same(tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    found = await asyncio.gather(*(keys.obtain("run", SOON) for _ in range(20)))
    assert len({each.key for each in found if each}) == 1


async def test_a_deleted_key_is_not_made_again(tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    await keys.obtain("run", SOON)
    assert await keys.delete("run")
    assert not await keys.delete("run")
    assert await keys.find("run") is None
    assert await keys.obtain("run", SOON) is None


async def test_a_key_that_never_was_can_be_forbidden(tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    assert not await keys.delete("run")
    assert await keys.obtain("run", SOON) is None


async def test_keys_whose_time_is_over_are_found(tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    await keys.obtain("later", SOON)
    await keys.obtain("now", datetime.now(UTC) - timedelta(seconds=1))
    assert await keys.overdue(datetime.now(UTC)) == ["now"]


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are of POSIX")
async def test_nobody_else_can_read_a_key(tmp_path: Path) -> None:
    await KeyDirectory(tmp_path / "keys").obtain("run", SOON)
    assert (tmp_path / "keys" / "run.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{}", '{"key": "!", "expires": "x", "wrapped_by": "plain"}', "[1]"])
async def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.key").write_text(text)
    with pytest.raises(AuditError, match=r"run\.key"):
        await KeyDirectory(tmp_path).find("run")


async def test_a_key_that_was_wrapped_otherwise_is_refused(tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path)
    await keys.obtain("run", SOON)
    file = json.loads((tmp_path / "run.key").read_text())
    (tmp_path / "run.key").write_text(json.dumps({**file, "wrapped_by": "aws-kms"}))
    with pytest.raises(AuditError, match="wrapped by aws-kms"):
        await keys.find("run")


@pytest.mark.parametrize("key_id", ["", "../run", ".run", "a/b", "x" * 300])
async def test_an_id_that_is_no_file_name_is_refused(tmp_path: Path, key_id: str) -> None:
    with pytest.raises(AuditError, match="no key's id"):
        await KeyDirectory(tmp_path).obtain(key_id, SOON)


async def test_what_was_said_is_unreadable_without_its_key_and_the_log_stays_whole(
    desk: Desk, bundle: Path
) -> None:
    erased = read_manifest(bundle).runs[0]
    assert await desk.keys.delete(erased.key_id)
    verdict = await desk.verify(bundle)
    assert verdict.ok
    assert (verdict.opened, verdict.unopened) == (3, 1)


async def test_a_run_that_was_erased_is_exported_without_what_was_said(
    desk: Desk, bundle: Path, tmp_path: Path
) -> None:
    await desk.keys.delete(read_manifest(bundle).runs[0].key_id)
    manifest = await desk.export(tmp_path / "again", [recorded("told-of-approvals")])
    assert manifest.runs[0].contents is None
    assert manifest.runs[0].gaps == ("contents_erased",)
    assert (await desk.verify(tmp_path / "again")).ok
    assert b"alice" not in (tmp_path / "again" / "decisions.jsonl").read_bytes()


def test_nothing_that_was_said_is_readable_in_a_bundle(bundle: Path) -> None:
    for path in bundle.rglob("*.*"):
        assert b"alice" not in path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"log_days": 182}, "EU AI Act"),
        ({"contents_days": 6}, "7 to 30"),
        ({"contents_days": 31}, "7 to 30"),
        ({"contents_days": 20, "log_days": 10}, "longer than the decision log"),
    ],
)
def test_a_retention_that_should_be_thought_over_is_warned_of(
    desk: Desk, changes: dict[str, int], words: str
) -> None:
    assert any(words in warning for warning in desk.settings(**changes).warnings())


def test_the_default_retention_is_what_the_law_asks(desk: Desk) -> None:
    settings: ExportSettings = desk.settings()
    assert settings.warnings() == []
    retention = settings.retention(SOON)
    assert (retention.contents_until - SOON).days == 30
    assert (retention.log_until - SOON).days == 183


@pytest.mark.skipif(sys.platform == "win32", reason="what is injected is POSIX's")
async def test_a_key_whose_deletion_fails_half_way_is_gone_or_there_and_the_next_try_ends_it(
    tmp_path: Path,
) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    for number in range(12):
        key_id = f"run-{number}"
        made = await keys.obtain(key_id, SOON)
        try:
            with failing_at(number):
                await keys.delete(key_id)
        except AuditError:
            assert await keys.find(key_id) in (made, None)
        overdue = await keys.overdue(datetime.now(UTC))
        assert overdue in ([], [key_id])
        await keys.delete(key_id)
        assert await keys.find(key_id) is None
        assert not (tmp_path / "keys" / f"{key_id}.key").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="what is injected is POSIX's")
def test_a_signing_key_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / str(number) / "signing-key.pem"
        with suppress(AuditError), failing_at(number):
            ExportSigner.load_or_make(path)
        signer = ExportSigner.load_or_make(path)
        assert ExportVerifier.load(public_path(path)) == signer.public
        assert ExportSigner.load_or_make(path).public == signer.public


def test_a_signing_key_that_is_gone_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    ExportSigner.load_or_make(path)
    path.unlink()
    with pytest.raises(AuditError, match="restore it"):
        ExportSigner.load_or_make(path)
