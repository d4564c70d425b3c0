"""The fleet's keys in a file: made once, replaced step by step, never shown."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from agentflow.adapters.seal_keys import (
    add_seal_key,
    development_seal_keys,
    load_seal_keys,
    remove_seal_key,
    save_new_seal_keys,
    use_seal_key,
)
from agentflow.core.seal import SealKeys
from agentflow.errors import ConfigurationError

GOOD = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="


def test_a_new_file_is_its_owners_alone_and_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seal.json"
    made = save_new_seal_keys(path)
    assert load_seal_keys(path) == made
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="no key is overwritten"):
        save_new_seal_keys(path)
    assert [each.name for each in path.parent.iterdir()] == ["seal.json"]


def test_a_key_is_replaced_in_three_steps(tmp_path: Path) -> None:
    path = tmp_path / "seal.json"
    old = save_new_seal_keys(path).current
    new = add_seal_key(path)
    assert load_seal_keys(path).current == old
    with pytest.raises(ConfigurationError, match="first let another one"):
        remove_seal_key(path, old)
    use_seal_key(path, new)
    remove_seal_key(path, old)
    assert load_seal_keys(path).current == new
    assert list(load_seal_keys(path).keys) == [new]
    for change in (use_seal_key, remove_seal_key):
        with pytest.raises(ConfigurationError, match="has no key 'none'"):
            change(path, "none")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"current": "k1", "keys": {}}',
        '{"current": "k1", "keys": {"k1": "short"}}',
        '{"current": "k1", "keys": {"k1": "MTEx"}}',
        '{"current": 1, "keys": {"1": "GOOD"}}',
        '{"current": "k1", "keys": {"k1": "GOOD"}, "more": 1}',
        '{"current": "k1", "keys": {"k1": "GOOD", "k1": "GOOD"}}',
        '{"current": "k1", "current": "k2", "keys": {"k1": "GOOD", "k2": "GOOD"}}',
        '{"current": "k1", "keys": {"k1": null}}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seal.json"
    path.write_text(text.replace("GOOD", GOOD))
    with pytest.raises(ConfigurationError) as refused:
        load_seal_keys(path)
    assert GOOD not in str(refused.value)


def test_without_a_file_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="agentflow seal-keys init"):
        load_seal_keys(tmp_path / "none.json")


def test_development_workers_of_a_machine_share_the_keys_that_the_first_one_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTFLOW_DEV_SEAL_KEYS", str(tmp_path / "state" / "seal.json"))
    found: list[SealKeys] = []
    at_once = [threading.Thread(target=lambda: found.append(development_seal_keys())) for _ in range(8)]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    assert len(found) == 8
    assert all(keys == found[0] for keys in found)
    assert json.loads((tmp_path / "state" / "seal.json").read_text())["current"] == found[0].current
