"""Keys of runs that AWS KMS wraps, as moto has it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from agentflow.adapters.key_directory import KeyDirectory
from agentflow.adapters.kms_wrapper import KmsWrapper
from agentflow.errors import AuditError

SOON = datetime.now(UTC) + timedelta(days=30)


@pytest.fixture
async def wrapper(dynamodb_server: str, aws_credentials: None) -> KmsWrapper:
    # The same server speaks for all of AWS.
    client = boto3.client("kms", endpoint_url=dynamodb_server, region_name="us-east-1")
    key = client.create_key()["KeyMetadata"]["KeyId"]
    return KmsWrapper(key, region="us-east-1", endpoint=dynamodb_server)


async def test_a_wrapped_key_comes_back(wrapper: KmsWrapper, tmp_path: Path) -> None:
    made = await KeyDirectory(tmp_path, wrapper).obtain("run", SOON)
    assert made is not None
    assert await KeyDirectory(tmp_path, wrapper).find("run") == made


async def test_the_file_alone_is_worth_nothing(wrapper: KmsWrapper, tmp_path: Path) -> None:
    await KeyDirectory(tmp_path, wrapper).obtain("run", SOON)
    with pytest.raises(AuditError, match="wrapped by aws-kms"):
        await KeyDirectory(tmp_path).find("run")


async def test_a_key_is_bound_to_its_run(wrapper: KmsWrapper, tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path, wrapper)
    await keys.obtain("run", SOON)
    (tmp_path / "run.key").rename(tmp_path / "other.key")
    with pytest.raises(AuditError, match="could not decrypt"):
        await keys.find("other")


async def test_a_key_that_kms_does_not_have_is_told_of(
    dynamodb_server: str, aws_credentials: None, tmp_path: Path
) -> None:
    nobody = KmsWrapper("no-such-key", region="us-east-1", endpoint=dynamodb_server)
    with pytest.raises(AuditError, match="no-such-key"):
        await KeyDirectory(tmp_path, nobody).obtain("run", SOON)
