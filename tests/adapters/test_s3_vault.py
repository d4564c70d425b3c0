"""Bundles in a bucket with Object Lock, on a real server."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from agentflow.adapters.s3_client import S3Error
from agentflow.adapters.s3_vault import S3Vault
from agentflow.adapters.stores import open_vault
from agentflow.audit.bundle import read_manifest
from agentflow.audit.succession import digests_of, heads, verify_chain
from agentflow.audit.vault import fetch, newest_in, upload
from agentflow.errors import AuditError, ConfigurationError
from tests.adapters.s3_server import S3Server
from tests.audit.places import Desk, recorded


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "home")
    await desk.export(desk.home / "bundle", [recorded("circling"), recorded("told-of-approvals")])
    return desk


@pytest.fixture
async def bucket(s3: S3Server) -> str:
    name = f"vault-{uuid4().hex[:12]}"
    await asyncio.to_thread(s3.client().create_bucket, Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def vault(s3: S3Server, bucket: str) -> S3Vault:
    return open_vault(s3.url(bucket, "audit"), "GOVERNANCE")


def objects(s3: S3Server, bucket: str) -> list[Any]:
    return s3.client().list_objects_v2(Bucket=bucket).get("Contents", [])


async def test_a_bundle_that_comes_back_verifies(
    desk: Desk, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    export, written = await upload(desk.home / "bundle", vault(s3, bucket))
    assert written == 6
    assert await fetch(vault(s3, bucket), export, tmp_path / "back") == 6
    assert (await desk.verify(tmp_path / "back")).ok


async def test_what_was_said_is_locked_for_its_time_and_the_log_for_its_own(
    desk: Desk, s3: S3Server, bucket: str
) -> None:
    export, _ = await upload(desk.home / "bundle", vault(s3, bucket))
    retention = read_manifest(desk.home / "bundle").retention
    for name, until in (
        ("contents/000001.bin", retention.contents_until),
        ("decisions.jsonl", retention.log_until),
    ):
        head = s3.client().head_object(Bucket=bucket, Key=f"audit/{export}/{name}")
        assert head["ObjectLockMode"] == "GOVERNANCE"
        assert abs(head["ObjectLockRetainUntilDate"] - until) <= timedelta(seconds=1)


async def test_nobody_deletes_a_locked_version(desk: Desk, s3: S3Server, bucket: str) -> None:
    export, _ = await upload(desk.home / "bundle", vault(s3, bucket))
    key = f"audit/{export}/decisions.jsonl"
    version = s3.client().head_object(Bucket=bucket, Key=key)["VersionId"]
    with pytest.raises(ClientError):
        s3.client().delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert s3.client().get_object(Bucket=bucket, Key=key, VersionId=version)["ContentLength"]


async def test_who_was_cut_off_goes_on_where_they_were(
    desk: Desk, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    bundle, place = desk.home / "bundle", vault(s3, bucket)
    manifest = read_manifest(bundle)
    until = manifest.retention.log_until
    # As far as an upload came that died.
    await place.put(manifest.export, bundle, {"decisions.jsonl": until, "leaves.bin": until})
    export, written = await upload(bundle, place)
    assert written == 4
    assert await upload(bundle, place) == (export, 0)
    await fetch(place, export, tmp_path / "back")
    assert (await desk.verify(tmp_path / "back")).ok


async def test_an_upload_that_was_cut_off_has_no_digest(
    desk: Desk, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    place = vault(s3, bucket)
    manifest = read_manifest(desk.home / "bundle")
    soon = datetime.now(UTC) + timedelta(days=1)
    files = {"decisions.jsonl": soon, "leaves.bin": soon, "not-there": soon, "digest.json": soon}
    with pytest.raises(FileNotFoundError):
        await place.put(manifest.export, desk.home / "bundle", files)
    with pytest.raises(AuditError, match=r"has no digest\.json"):
        await fetch(place, manifest.export, tmp_path / "back")


async def test_something_else_in_its_place_is_not_written_over(desk: Desk, s3: S3Server, bucket: str) -> None:
    export = read_manifest(desk.home / "bundle").export
    s3.client().put_object(Bucket=bucket, Key=f"audit/{export}/leaves.bin", Body=b"other")
    with pytest.raises(AuditError, match="something else"):
        await upload(desk.home / "bundle", vault(s3, bucket))


async def test_a_bucket_that_does_not_lock_is_refused(desk: Desk, s3: S3Server) -> None:
    with pytest.raises((AuditError, S3Error)):
        await upload(desk.home / "bundle", vault(s3, await s3.new_bucket()))


async def test_a_server_that_is_down_is_told_of(desk: Desk, aws_credentials: None) -> None:
    nowhere = open_vault("s3://vault/audit?region=us-east-1&endpoint=http://127.0.0.1:9")
    with pytest.raises(S3Error):
        await upload(desk.home / "bundle", nowhere)


@pytest.mark.parametrize("address", ["", "/tmp/vault", "memory:", "s3://", "s3://user@vault/x", "https://x"])
def test_what_is_no_vault_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="no address of a vault"):
        open_vault(address)


async def test_the_newest_export_is_asked_of_the_vault(desk: Desk, s3: S3Server, bucket: str) -> None:
    place = vault(s3, bucket)
    assert await newest_in(place, desk.signer.public) is None
    await desk.export(desk.home / "second", [recorded("circling")])
    for name in ("bundle", "second"):
        await upload(desk.home / name, place)
    newest = await newest_in(place, desk.signer.public)
    verdicts = [await desk.verify(desk.home / name) for name in ("bundle", "second")]
    assert [newest] == heads(digests_of(verdicts))
    assert newest is not None
    assert verify_chain(verdicts, newest.digest) == []
    (problem,) = verify_chain(verdicts[:1], newest.digest)
    assert problem.where == newest.digest


async def test_what_was_laid_over_the_newest_export_does_not_hide_it(
    desk: Desk, s3: S3Server, bucket: str
) -> None:
    place = vault(s3, bucket)
    export, _ = await upload(desk.home / "bundle", place)
    newest = await newest_in(place, desk.signer.public)
    key = f"audit/{export}/digest.json"
    s3.client().put_object(Bucket=bucket, Key=key, Body=b"{}")
    assert await newest_in(place, desk.signer.public) == newest
    s3.client().delete_object(Bucket=bucket, Key=key)
    assert await newest_in(place, desk.signer.public) == newest


async def test_an_export_that_another_key_signed_is_not_the_newest(
    desk: Desk, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    place = vault(s3, bucket)
    other = Desk(tmp_path / "other")
    await other.export(other.home / "theirs", [recorded("circling")])
    await upload(other.home / "theirs", place)
    assert await newest_in(place, desk.signer.public) is None


async def test_an_export_that_forks_the_chain_is_told_by_the_vault(
    desk: Desk, s3: S3Server, bucket: str
) -> None:
    """Whoever sets the home's file back, to leave an export out, makes two that follow the same one."""
    place, last = vault(s3, bucket), (desk.home / "last.json").read_bytes()
    for name in ("second", "instead"):
        (desk.home / "last.json").write_bytes(last)
        await desk.export(desk.home / name, [recorded("circling")])
    for name in ("bundle", "second", "instead"):
        await upload(desk.home / name, place)
    with pytest.raises(AuditError, match="last of"):
        await newest_in(place, desk.signer.public)


async def test_what_is_no_longer_as_it_was_signed_is_not_locked(
    desk: Desk, s3: S3Server, bucket: str
) -> None:
    (desk.home / "bundle" / "leaves.bin").write_bytes(b"")
    with pytest.raises(AuditError, match="isn't as it was signed"):
        await upload(desk.home / "bundle", vault(s3, bucket))
    assert objects(s3, bucket) == []
