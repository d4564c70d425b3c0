"""Everything that needs an extra says which, where it isn't installed; and boto3 waits until it is needed."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDS = [
    ("from agentflow.adapters.cedar import cedar_policies", "cedarpy", "cedar"),
    ("from agentflow.adapters.detect_secrets import DetectSecrets", "detect_secrets", "detect-secrets"),
    ("from agentflow.adapters.genai_prices import GenaiPriceBook", "genai_prices", "openai"),
    ("from agentflow.adapters.pydantic_ai import PydanticAIModelClient", "pydantic_ai", "openai"),
    (
        "from agentflow.adapters.ledgers import open_ledger; open_ledger('postgresql://h/d')",
        "psycopg",
        "postgres",
    ),
    (
        "from agentflow.adapters.ledgers import open_ledger; open_ledger('postgresql://h/d')",
        "psycopg_pool",
        "postgres",
    ),
    (
        "from agentflow.adapters.webhook import Webhook; Webhook('https://h', 'whsec_' + 'A' * 32)",
        "httpx2",
        "webhook",
    ),
    ("from agentflow.adapters.openapi_files import parse_openapi; parse_openapi(b'a: 1')", "yaml", "openapi"),
    (
        "import asyncio, pathlib; from agentflow.adapters.local_model import LocalModel; asyncio.run(LocalModel(pathlib.Path('m')).start())",
        "xllamacpp",
        "local",
    ),
    (
        "from agentflow.telemetry.tracing import configure_tracing; configure_tracing()",
        "opentelemetry.sdk",
        "otel",
    ),
    (
        "from agentflow.telemetry.metering import configure_metrics; configure_metrics()",
        "opentelemetry.sdk",
        "otel",
    ),
    (
        "from agentflow.telemetry.metering import configure_metrics; configure_metrics(prometheus=0)",
        "prometheus_client",
        "prometheus",
    ),
    ("from agentflow.audit.report.html import rendered; rendered('index.html.j2')", "jinja2", "audit"),
    ("from agentflow.cli import main; main()", "typer", "cli"),
    ("from agentflow.cli import main; main()", "rich", "cli"),
    (
        "import asyncio; from agentflow.adapters.mcp_session import McpPlace; asyncio.run(McpPlace((), 'https://h', {}, {}, None, None).connected(None, None))",
        "mcp",
        "mcp",
    ),
]


EACH = """
import json, os, sys, tempfile
import agentflow

came = []
for script in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile("w+") as errors:
        if not (child := os.fork()):
            os.dup2(errors.fileno(), 2)
            break
        _, status = os.waitpid(child, 0)
        errors.seek(0)
        came.append([os.waitstatus_to_exitcode(status), errors.read()])
else:
    print(json.dumps(came))
    script = ""
exec(script)
"""
"""Each script in a process of its own, forked from one that has imported agentflow, which needs no extra."""


def script_of(use: str, without: str) -> str:
    # ``None`` in sys.modules makes an import of that name fail.
    return f"import sys; sys.modules[{without!r}] = None\n{use}"


@pytest.fixture(scope="module")
def ends() -> dict[str, tuple[int, str]]:
    """Exit code and errors of each script."""
    scripts = [script_of(use, without) for use, without, _ in NEEDS]
    command = [sys.executable, "-c", EACH, json.dumps(scripts)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(zip(scripts, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(("use", "without", "extra"), NEEDS)
def test_what_needs_an_extra_says_which_in_one_line(
    ends: dict[str, tuple[int, str]], use: str, without: str, extra: str
) -> None:
    code, errors = ends[script_of(use, without)]
    assert code == 1
    assert (
        errors.strip().splitlines()[-1].endswith(f'needs an extra: pip install "agentflow-temporal[{extra}]"')
    )
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
