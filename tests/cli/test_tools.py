"""``agentflow tools``: contracts listed, shown, checked and imported."""

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from agentflow import DidNotHappen, Happened, tool
from agentflow.cli.project import load_module
from agentflow.cli.tool_sources import Offered
from agentflow.core.imported import ImportedTool
from tests.cli.harness import CommandLine
from tests.core.samples import AIRFLOW_API

NOTES = Path(__file__).parents[1] / "adapters" / "notes_server.py"


@pytest.fixture
def tools() -> CommandLine:
    """No server is asked."""
    return CommandLine("127.0.0.1:1", Path("none"))


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    return written(tmp_path / "orders.yaml", DOCUMENT)


@pytest.fixture
def notes(tmp_path: Path) -> str:
    return f"'{sys.executable}' '{NOTES}' '{tmp_path}'"


DOCUMENT = """
openapi: 3.1.0
info: {title: 'Orders "and more"', version: '1'}
paths:
  /orders/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
    get:
      operationId: get_order
      summary: Get one order by its number
      responses:
        200: {description: it, content: {application/json: {schema: {type: object, properties: {at: {type: string, const: 2026-11-26}}}}}}
    delete:
      operationId: delete_order
      responses: {204: {description: gone}}
  /labels:
    post:
      operationId: print_label
      requestBody: {required: true, content: {image/png: {}}}
      responses: {}
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def imported(path: Path) -> dict[str, ImportedTool]:
    return {name: one for name, one in vars(load_module(str(path))).items() if isinstance(one, ImportedTool)}


def test_a_documents_operations_are_listed_with_what_can_not_be_imported(
    tools: CommandLine, orders: Path
) -> None:
    found = tools("tools", "list", "--openapi", str(orders), "--json").document["tools"]
    assert [(one["name"], one["effect"]) for one in found] == [
        ("get_order", "read"),
        ("delete_order", "write"),
        ("print_label", None),
    ]
    assert "the body is image/png" in found[2]["problem"]


def test_a_servers_tools_are_listed_with_a_mark_at_what_only_claims_to_read(
    tools: CommandLine, notes: str
) -> None:
    shown = tools("tools", "list", "--mcp", notes).stdout
    assert "add_note    write" in shown
    assert "read_notes  read?" in shown


def test_the_projects_tools_are_listed_with_the_agents_that_use_them(tools: CommandLine) -> None:
    found = tools("tools", "list", "--json").document["tools"]
    assert ("refund_order", "SupportRefund") in {(one["name"], one["used_by"]) for one in found}


def test_a_contract_is_shown_whole(tools: CommandLine, orders: Path) -> None:
    answer = tools("tools", "show", "get_order", "--openapi", str(orders))
    assert "GET /orders/{id}" in answer.stdout
    assert '"additionalProperties": false' in answer.stdout
    document = tools("tools", "show", "get_order", "--openapi", str(orders), "--json").document
    assert (
        document["source"]["operation"] if "operation" in document["source"] else document["source"]["path"]
    )


def test_an_unknown_tool_is_refused_with_what_is_near(tools: CommandLine, orders: Path) -> None:
    answer = tools("tools", "show", "get_ordr", "--openapi", str(orders))
    assert answer.exit_code == 1
    assert "there is no tool get_ordr among 3; is it get_order" in answer.stderr


def test_an_import_writes_a_module_that_has_the_contracts(
    tools: CommandLine, orders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made" / "orders_api.py"
    answer = tools(
        "tools", "import", "get_order", "delete_order=remove", "--openapi", str(orders), "--out", str(out)
    )
    assert answer.exit_code == 0
    assert {name: one.contract.effect for name, one in imported(out).items()} == {
        "get_order": "read",
        "remove": "write",
    }


def test_importing_again_says_what_changed_and_check_writes_nothing(
    tools: CommandLine, orders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "orders_api.py"
    command = ["tools", "import", "get_order", "--openapi", str(orders), "--out", str(out)]
    tools(*command)
    assert tools(*command, "--check").exit_code == 0
    before = out.read_text()
    written(orders, DOCUMENT.replace("by its number", "by its number, and delete it"))
    checked = tools(*command, "--check")
    assert checked.exit_code == 1
    assert '+ "description": "Get one order by its number, and delete it"' in checked.stdout
    assert out.read_text() == before
    assert '+ "description"' in tools(*command).stdout
    assert tools(*command, "--check").stdout == "as it was\n"


def test_an_import_never_overwrites_what_somebody_else_wrote(
    tools: CommandLine, orders: Path, tmp_path: Path
) -> None:
    out = written(tmp_path / "mine.py", "x = 1\n")
    answer = tools("tools", "import", "get_order", "--openapi", str(orders), "--out", str(out))
    assert answer.exit_code == 1
    assert "was not written by `agentflow tools import`" in answer.stderr
    assert out.read_text() == "x = 1\n"


def test_tools_of_a_server_are_imported_and_linted(tools: CommandLine, notes: str, tmp_path: Path) -> None:
    out = tmp_path / "notes_server.py"
    answer = tools("tools", "import", "read_notes", "--mcp", notes, "--out", str(out), "--json")
    assert [one["rule"] for one in answer.document["findings"]] == ["claimed-effect"]
    assert imported(out)["read_notes"].contract.effect_is_claimed


def test_lint_fails_where_there_are_findings(tools: CommandLine, orders: Path) -> None:
    answer = tools("tools", "lint", "--openapi", str(orders), "--json")
    assert answer.exit_code == 1
    found = {(one["tool"], one["rule"]) for one in answer.document["findings"]}
    assert {("delete_order", "no-recovery"), ("delete_order", "no-description")} <= found
    assert [one["tool"] for one in answer.document["unusable"]] == ["print_label"]


def test_the_reference_agents_tools_have_no_findings(tools: CommandLine) -> None:
    answer = tools("tools", "lint")
    assert (answer.exit_code, answer.stdout) == (0, "nothing to say of 4 tools\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list", "--openapi", "gone.yaml"], 2, "gone.yaml can't be read"),
        (["list", "--openapi", "{orders}", "--mcp", "x"], 2, "name one source"),
        (["import", "a", "--out", "a.py"], 2, "say where the tools are from"),
        (["import", "gone", "--openapi", "{orders}", "--out", "a.py"], 2, "has no operation 'gone'"),
        (["list", "--mcp", "http://127.0.0.1:1/mcp"], 1, "can't be reached"),
        (["list", "--mcp", "x", "--env", "NOT_SET_ANYWHERE"], 2, "NOT_SET_ANYWHERE is not set"),
        (["list", "--openapi", "http://127.0.0.1:1/x"], 2, "can't be fetched"),
    ],
)
def test_what_can_not_be_done_is_said(
    tools: CommandLine, orders: Path, arguments: list[str], code: int, said: str
) -> None:
    answer = tools("tools", *(one.format(orders=orders) for one in arguments))
    assert (answer.exit_code, said in answer.stderr) == (code, True), answer.stderr


@pytest.mark.parametrize("text", ["\x00", "a: [", "- 1", "a: &a [*a]", "{" * 3_000])
def test_a_document_that_is_none_is_told(tools: CommandLine, tmp_path: Path, text: str) -> None:
    answer = tools("tools", "list", "--openapi", str(written(tmp_path / "bad.yaml", text)))
    assert answer.exit_code == 2, answer.stderr


def test_a_title_can_not_write_python(tools: CommandLine, tmp_path: Path) -> None:
    hostile = json.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": '"""\nimport os; os.abort()\n"""\\'},
            "paths": {"/a": {"get": {"operationId": "get_a", "summary": "'''\"\"\"\nimport os\n\\"}}},
        }
    )
    document, out = written(tmp_path / "d.json", hostile), tmp_path / "made.py"
    tools("tools", "import", "get_a", "--openapi", str(document), "--out", str(out))
    assert imported(out)["get_a"].contract.description == "'''\"\"\"\nimport os\n\\"


@pytest.mark.slow
def test_a_large_public_document_is_listed_whole(tools: CommandLine) -> None:
    found = tools("tools", "list", "--openapi", str(AIRFLOW_API), "--json").document["tools"]
    assert len(found) > 100
    assert not [one for one in found if one["problem"]]


def test_lint_looks_at_the_source_of_ones_own_tools() -> None:
    offered = Offered("nap", "", nap.contract, functions=nap.functions)
    found = [(one.rule, one.place.partition(",")[0]) for one in offered.findings()]
    assert ("blocking-call", "nap") in found
    assert ("unseen-thread", "slept") in found


@tool(effect="write", recovery="probe")
async def nap(seconds: int) -> str:
    """Sleep for some seconds, in the event loop."""
    time.sleep(seconds)  # noqa: ASYNC251 - that is what is found
    return "slept"


@nap.probe
async def slept(seconds: int) -> Happened[str] | DidNotHappen:
    return Happened(await asyncio.to_thread(str, seconds))
