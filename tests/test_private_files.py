"""Files and folders that agentflow makes are their owner's alone, whatever the umask says."""

import ast
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.replies import Outbox
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.adapters.open_stores import warn_of_open_stores
from agentflow.adapters.process import LocalProcess
from agentflow.adapters.seal_keys import add_seal_key, save_new_seal_keys
from agentflow.adapters.signer import Signer
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.adapters.stores import open_external_storage
from agentflow.adapters.whole_file import write_whole
from agentflow.private_files import is_open_to_others, make_file, make_folder
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.redactor import Redactor
from agentflow.telemetry.spool import SpanSpool
from agentflow.testing import MemoryLedger, ScriptedModel, answer, call
from tests.adapters.ledger_places import record
from tests.adapters.test_external_storage import Archive
from tests.audit.places import Desk, recorded
from tests.workflow.chatting_agents import Forgetful
from tests.workflow.harness import serving
from tests.workflow.stepping_agents import Remitter

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes mean nothing on Windows")

PROJECT = Path(__file__).parents[1]


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def place(tmp_path: Path, umask: int) -> Path:
    """A folder that isn't there yet."""
    return tmp_path / "new" / "and" / "deep"


def modes(place: Path) -> dict[str, str]:
    """Of what is below the first folder that was made: what others may do with it, if they may anything."""
    top = place.parents[1]
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (top, *top.rglob("*"))}
    assert any(path.is_file() for path in found), "nothing was made"
    wanted = {path: 0o700 if path.is_dir() else 0o600 for path in found}
    return {str(path.relative_to(top)): oct(mode) for path, mode in found.items() if mode != wanted[path]}


def names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


async def test_a_ledger_is_its_owners_with_all_that_sqlite_keeps_beside_it(place: Path) -> None:
    ledger = SQLiteLedger(place / "ledger.sqlite")
    await ledger.insert(record())
    assert names(place) == {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    assert modes(place) == {}
    await ledger.close()


async def test_blobs_are_their_owners(place: Path) -> None:
    await DirectoryBlobStore(place).put("a" * 64, "b" * 64, b"said")  # type: ignore[arg-type]
    assert modes(place) == {}


def test_keys_are_their_owners(place: Path) -> None:
    save_new_seal_keys(place / "seals" / "keys.json")
    add_seal_key(place / "seals" / "keys.json")
    Signer.generate("ann", ("clerk",)).save(place / "people" / "ann.json")
    assert modes(place) == {}


def test_a_spool_of_spans_is_its_owners(place: Path) -> None:
    spool = SpanSpool(place, lambda _: False, every=3600)
    write_whole(place / "beside", b"")
    assert modes(place) == {}
    spool.shutdown()


def test_a_log_is_its_owners(place: Path, logs_as_they_were: None) -> None:
    configure_logs("json", file=place / "worker.log", texts=Redactor())
    assert modes(place) == {}


async def test_what_a_child_process_makes_is_its_owners(place: Path) -> None:
    make_folder(place)
    script = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('x'); time.sleep(60)"
    path = place / "made"

    async def ready() -> bool:
        return path.exists()

    command = [sys.executable, "-c", script, str(path)]
    async with LocalProcess("child", command, ready=ready, log_path=place / "child.log"):
        assert modes(place) == {}


async def test_a_dev_servers_database_is_its_owners(place: Path) -> None:
    make_folder(place)
    async with DevServer(ui=False, database=place / "temporal.sqlite", log_level="never"):
        assert modes(place) == {}


async def test_what_the_reference_tools_keep_is_its_owners(place: Path) -> None:
    await Outbox(place / "outbox.sqlite").list()
    assert modes(place) == {}


async def test_a_bundle_for_auditors_is_its_owners_and_so_is_its_home(place: Path) -> None:
    desk = Desk(place)
    await desk.export(place / "bundle", [recorded("reads-and-a-write")])
    # Public keys are for everybody.
    public = {name for name in modes(place) if name.endswith(".pub.pem")}
    assert set(modes(place)) == public


async def test_all_that_a_run_makes_is_its_owners(temporal: WorkflowEnvironment, place: Path) -> None:
    model = ScriptedModel([call("statement", page=1, size=3_000_000), answer("ok")])
    settings = {
        "blobs": DirectoryBlobStore(place / "blobs"),
        "external_storage": open_external_storage(str(place / "values")),
        "bank": Archive(),
    }
    async with serving(temporal, model, place, **settings) as bank:
        assert (await bank.run(Forgetful)).status == "completed"
        assert (await bank.run(Remitter, "remit alice")).status == "completed"
        assert {"blobs", "values", "ledger.sqlite", "ledger.sqlite-wal"} <= names(place)
        assert modes(place) == {}


def test_what_is_there_keeps_the_mode_that_somebody_gave_it(place: Path) -> None:
    make_folder(place)
    os.chmod(place, 0o750)
    path = place / "file"
    make_file(path)
    os.chmod(path, 0o640)
    make_folder(place)
    make_file(path)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (place, path)] == [0o750, 0o640]


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can enter, as those of tests aren't."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o602, True), (0o660, False), (0o600, False)])
def test_a_store_that_everybody_can_open_is_told(
    public: Path, mode: int, told: bool, capsys: pytest.CaptureFixture[str], logs_as_they_were: None
) -> None:
    ledger = SQLiteLedger(public / "ledger.sqlite")
    make_file(ledger.path)
    os.chmod(ledger.path, mode)
    warn_of_open_stores(ledger, None, MemoryLedger(), SQLiteLedger(public / "none.sqlite"))
    assert (str(ledger.path) in capsys.readouterr().out) is told
    assert stat.S_IMODE(ledger.path.stat().st_mode) == mode


def test_a_file_in_a_folder_that_nobody_else_can_enter_is_open_to_nobody(public: Path) -> None:
    make_folder(public / "closed")
    path = public / "closed" / "file"
    path.write_bytes(b"")
    os.chmod(path, 0o644)
    assert not is_open_to_others(path)
    os.chmod(path.parent, 0o711)
    assert is_open_to_others(path)


def test_of_many_that_make_a_folder_or_a_file_at_once_none_fails(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def make() -> None:
        try:
            make_folder(tmp_path / "a" / "b" / "c")
            make_file(tmp_path / "a" / "b" / "c" / "file")
        except BaseException as error:
            failed.append(error)

    threads = [Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.name for path in (tmp_path / "a" / "b" / "c").iterdir()] == ["file"]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


MAKING = {"mkdir", "makedirs", "write_text", "write_bytes", "touch", "copyfile", "copy", "copytree", "copy2"}
ONE_PLACE = "agentflow/private_files.py"


def making(tree: ast.AST) -> Iterator[str]:
    """Calls that make files or folders by what the umask leaves."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = ast.unparse(node)
        if name in MAKING - {"copy"} or words.startswith("shutil.copy("):
            yield words
        if name == "open" and "opener=open_file" not in words:
            mode = [each.value for each in node.args if isinstance(each, ast.Constant)]
            makes = any(isinstance(each, str) and set(each) <= set("waxbt+") for each in mode)
            if makes and "os.devnull" not in words:
                yield words
        if words.startswith("os.open(") and "O_CREAT" in words:
            yield words


def sources() -> dict[str, str]:
    files = (file for room in ("agentflow", "activities") for file in PROJECT.joinpath(room).rglob("*.py"))
    return {str(file.relative_to(PROJECT)): file.read_text() for file in files}


def test_files_and_folders_are_made_in_one_place() -> None:
    found = {name: list(making(ast.parse(text))) for name, text in sources().items() if name != ONE_PLACE}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_what_others_open_for_us_is_made_before() -> None:
    opening = {
        name: text for name, text in sources().items() if re.search(r"sqlite3\.connect\(|FileHandler\(", text)
    }
    assert set(opening) >= {"agentflow/adapters/sqlite_file.py", "agentflow/telemetry/logs.py"}
    assert [name for name, text in opening.items() if "make_file(" not in text] == []


@pytest.mark.parametrize(
    "line",
    [
        "p.mkdir()",
        "p.write_text(x)",
        "open(p, 'w')",
        "p.open('ab')",
        "os.open(p, os.O_CREAT)",
        "shutil.copy(a, b)",
    ],
)
def test_what_would_make_a_file_elsewhere_is_found(line: str) -> None:
    assert list(making(ast.parse(line))) == [ast.unparse(ast.parse(line))]
