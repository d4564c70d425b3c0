import json
import subprocess
import sys
from inspect import ismodule
from pathlib import Path

import agentflow

# A dependency of the core that takes as long to import as everything else.
LATE = ("boto3", "botocore")
PROVIDERS = (
    "openai",
    "anthropic",
    "google.genai",
    "pydantic_ai",
    "genai_prices",
    "stripe",
)
COMMAND_LINE = ("typer", "rich", "xllamacpp")


def printed_by(script: str) -> object:
    """What a fresh interpreter prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(agentflow.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_all_is_what_the_package_offers() -> None:
    public = {
        name for name, value in vars(agentflow).items() if not name.startswith("_") and not ismodule(value)
    }
    assert public == set(agentflow.__all__)
    assert list(agentflow.__all__) == sorted(set(agentflow.__all__))


def test_the_package_itself_is_a_list_of_names_and_no_more() -> None:
    source = Path(agentflow.__file__).read_text()
    assert len(source.splitlines()) <= 64


def test_importing_agentflow_imports_no_provider_and_no_command_line() -> None:
    # rich is not in this list: structlog imports it wherever it is installed.
    unwanted = (*PROVIDERS, *LATE, "typer", "xllamacpp")
    script = f"import json, sys, agentflow; print(json.dumps([m for m in {unwanted!r} if m in sys.modules]))"
    assert printed_by(script) == []


def test_the_command_shows_its_help_without_importing_what_only_some_commands_use() -> None:
    unwanted = (*PROVIDERS, *LATE, "xllamacpp", "jinja2", "psycopg", "cedarpy", "mcp", "httpx2")
    script = (
        "import contextlib, io, json, sys; sys.argv = ['agentflow', '--help']\n"
        "from agentflow.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main()\n"
        f"print(json.dumps(['agentflow.cli.app' in sys.modules, [m for m in {unwanted!r} if m in sys.modules]]))"
    )
    assert printed_by(script) == [True, []]


def test_agentflow_can_be_imported_where_none_of_the_extras_is_installed() -> None:
    # ``None`` in sys.modules makes an import of that name fail.
    script = (
        f"import json, sys; sys.modules.update(dict.fromkeys({(*PROVIDERS, *COMMAND_LINE)!r})); "
        f"import agentflow; print(json.dumps(len(agentflow.__all__)))"
    )
    assert printed_by(script) == len(agentflow.__all__)
