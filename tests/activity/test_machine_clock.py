"""A clock that nobody sets: what is sure of a time that passed, across restarts and between processes."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.activity import machine_clock
from agentflow.activity.machine_clock import Uptime, uptime_us

times = st.integers(0, 10**13)


def test_a_machine_that_was_not_restarted_tells_the_difference() -> None:
    assert Uptime("boot-1", 5_000).us_ago(Uptime("boot-1", 3_000)) == 2_000


def test_after_a_restart_the_time_since_then_is_sure() -> None:
    assert Uptime("boot-2", 5_000).us_ago(Uptime("boot-1", 3_000)) == 5_000
    assert Uptime("boot-2", 5_000).us_ago(Uptime("boot-1", 9_000_000)) == 5_000


def test_without_names_of_starts_a_clock_that_reads_less_tells_of_one() -> None:
    assert Uptime(None, 5_000).us_ago(Uptime(None, 9_000)) == 5_000
    assert Uptime(None, 5_000).us_ago(Uptime(None, 3_000)) == 2_000


def test_a_clock_that_went_backwards_without_a_restart_tells_nothing() -> None:
    assert Uptime("boot-1", 3_000).us_ago(Uptime("boot-1", 5_000)) == 0


@given(st.lists(times, min_size=1, max_size=4), times, times, st.booleans())
def test_what_is_sure_is_never_more_than_has_passed(
    uptimes: list[int], written: int, read: int, is_named: bool
) -> None:
    """The machine was up for so long, was restarted, and so on: written in the first time, read in the last."""
    written, read = written % (uptimes[0] + 1), read % (uptimes[-1] + 1)
    if len(uptimes) == 1:
        written, read = sorted((written, read))
        passed = read - written
    else:
        passed = uptimes[0] - written + sum(uptimes[1:-1]) + read
    first, last = ("boot-0", f"boot-{len(uptimes) - 1}") if is_named else (None, None)
    assert 0 <= Uptime(last, read).us_ago(Uptime(first, written)) <= passed


def test_the_processes_of_a_machine_share_it() -> None:
    text = "from agentflow.activity.machine_clock import Uptime; print(*Uptime.now())"
    before = Uptime.now()
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60
    )
    boot, us = done.stdout.split()
    assert str(before.boot) == boot
    assert before.us <= int(us) <= uptime_us()


def test_a_time_namespace_is_reckoned_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    offsets = tmp_path_factory.mktemp("proc") / "timens_offsets"
    offsets.write_text("monotonic           0         0\nboottime       86400 500000000\n", "ascii")
    plain = uptime_us()
    monkeypatch.setattr(machine_clock, "_OFFSETS", offsets)
    machine_clock._offset_us.cache_clear()
    try:
        assert machine_clock._offset_us() == 86_400_500_000
        assert uptime_us() < plain
    finally:
        machine_clock._offset_us.cache_clear()


def test_a_system_that_names_no_start_has_a_clock_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(machine_clock, "_BOOT_ID", tmp_path_factory.mktemp("proc") / "nothing")
    monkeypatch.setattr(machine_clock, "_CLOCK", None)
    machine_clock._boot.cache_clear()
    try:
        first = Uptime.now()
        assert first.boot is None
        assert Uptime.now().us_ago(first) >= 0
    finally:
        machine_clock._boot.cache_clear()
