"""Everything that needs an extra says which, where it isn't installed; and boto3 waits until it is needed."""

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


@pytest.mark.parametrize(("use", "without", "extra"), NEEDS)
def test_what_needs_an_extra_says_which_in_one_line(use: str, without: str, extra: str) -> None:
    # ``None`` in sys.modules makes an import of that name fail.
    script = f"import sys; sys.modules[{without!r}] = None\n{use}"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith(f'needs an extra: pip install "agentflow-temporal[{extra}]"')
    )
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
