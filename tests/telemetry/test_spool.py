"""Spans survive what they are to tell of: killed workers and a collector that is down."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from agentflow.errors import ConfigurationError
from agentflow.telemetry.spool import SpanSpool, http_sender
from agentflow.telemetry.tracing import configure_tracing

NEVER = 3_600.0


class Collector:
    """Takes spans, unless it is down."""

    def __init__(self) -> None:
        self.up = True
        self.requests = 0
        self.names: list[str] = []

    def __call__(self, request: bytes) -> bool:
        if self.up:
            self.requests += 1
            self.names += names_in(request)
        return self.up


def names_in(request: bytes) -> list[str]:
    parsed = ExportTraceServiceRequest.FromString(request)
    return [span.name for part in parsed.resource_spans for scope in part.scope_spans for span in scope.spans]


@pytest.fixture
def collector() -> Collector:
    return Collector()


def recorded(spool: SpanSpool, *names: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(spool)
    for name in names:
        provider.get_tracer("test").start_span(name).end()


def test_spans_are_sent_and_their_files_removed(tmp_path: Path, collector: Collector) -> None:
    spool = SpanSpool(tmp_path, collector, every=NEVER)
    recorded(spool, "a", "b", "c")
    assert spool.force_flush()
    assert (collector.names, collector.requests) == (["a", "b", "c"], 1)
    assert list(tmp_path.iterdir()) == []
    spool.shutdown()


def test_a_span_is_on_the_disk_when_it_has_ended(tmp_path: Path, collector: Collector) -> None:
    spool = SpanSpool(tmp_path, collector, every=NEVER)
    recorded(spool, "a")
    (file,) = tmp_path.iterdir()
    assert names_in(file.read_bytes()[4:]) == ["a"]
    spool.shutdown()


def test_what_a_collector_that_is_down_did_not_take_is_sent_when_it_is_up(
    tmp_path: Path, collector: Collector
) -> None:
    spool = SpanSpool(tmp_path, collector, every=NEVER)
    collector.up = False
    recorded(spool, "a")
    assert not spool.force_flush()
    recorded(spool, "b")
    collector.up = True
    assert spool.force_flush()
    assert sorted(collector.names) == ["a", "b"]
    spool.shutdown()


def test_what_finds_no_room_is_dropped_and_counted(tmp_path: Path, collector: Collector) -> None:
    spool = SpanSpool(tmp_path, collector, max_bytes=1_000, every=NEVER)
    recorded(spool, *(f"span-{n}" for n in range(50)))
    spool.force_flush()
    assert spool.dropped > 0
    assert len(collector.names) + spool.dropped == 50
    # And there is room again.
    recorded(spool, "later")
    spool.force_flush()
    assert collector.names[-1] == "later"
    spool.shutdown()


def test_a_large_spool_is_sent_in_several_requests(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentflow.telemetry.spool.MAX_FILE_BYTES", 2_000)
    spool = SpanSpool(tmp_path, collector, every=NEVER)
    recorded(spool, *(f"span-{n}" for n in range(50)))
    spool.force_flush()
    assert collector.requests > 3
    assert len(set(collector.names)) == 50
    spool.shutdown()


KILLED = """
import os, signal, sys
from pathlib import Path
from opentelemetry.sdk.trace import TracerProvider
from agentflow.telemetry.spool import SpanSpool
provider = TracerProvider()
provider.add_span_processor(SpanSpool(Path(sys.argv[1]), lambda request: False, every=3600))
for number in range(5):
    provider.get_tracer("test").start_span(f"killed-{number}").end()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_the_next_one_sends(tmp_path: Path, collector: Collector) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -9
    spool = SpanSpool(tmp_path, collector, every=NEVER)
    assert spool.force_flush()
    assert collector.names == [f"killed-{number}" for number in range(5)]
    assert list(tmp_path.iterdir()) == []
    spool.shutdown()


def test_a_living_process_keeps_what_is_its_own(tmp_path: Path, collector: Collector) -> None:
    first = SpanSpool(tmp_path, lambda _: False, every=NEVER)
    recorded(first, "first's")
    second = SpanSpool(tmp_path, collector, every=NEVER)
    assert second.force_flush()
    assert collector.names == []
    first.shutdown()
    second.shutdown()


def test_a_span_that_was_cut_off_by_a_kill_is_left_out(tmp_path: Path, collector: Collector) -> None:
    spool = SpanSpool(tmp_path, collector, every=NEVER)
    recorded(spool, "a", "b")
    (file,) = tmp_path.iterdir()
    (tmp_path / "old.spans").write_bytes(file.read_bytes()[:-5])
    spool.force_flush()
    assert sorted(collector.names) == ["a", "a", "b"]
    spool.shutdown()


def test_a_directory_that_is_gone_costs_spans_and_nothing_else(tmp_path: Path, collector: Collector) -> None:
    place = tmp_path / "spool"
    spool = SpanSpool(place, collector, every=NEVER)
    place.rmdir()
    recorded(spool, "a")
    assert spool.dropped == 1
    spool.shutdown()


def test_a_disk_that_gets_full_in_the_middle_of_a_span_costs_that_span_only(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = SpanSpool(tmp_path, collector, every=NEVER)
    recorded(spool, "before")
    whole = os.write
    monkeypatch.setattr("os.write", lambda handle, data: whole(handle, data[:10]))
    recorded(spool, "cut off")
    monkeypatch.setattr("os.write", whole)
    recorded(spool, "after")
    assert spool.force_flush()
    assert (collector.names, spool.dropped) == (["before", "after"], 1)
    spool.shutdown()


def test_a_span_that_is_not_sampled_is_not_written(tmp_path: Path, collector: Collector) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    spool = SpanSpool(tmp_path, collector, every=NEVER)
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(spool)
    provider.get_tracer("test").start_span("a").end()
    assert list(tmp_path.iterdir()) == []
    spool.shutdown()


class Receiver:
    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        got, receiver = self.got, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append(({**self.headers}, body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()


@pytest.mark.parametrize(
    ("status", "is_done"), [(200, True), (400, True), (401, True), (429, False), (503, False)]
)
def test_a_collector_is_asked_again_unless_it_will_never_take_them(
    receiver: Receiver, status: int, is_done: bool
) -> None:
    receiver.status = status
    assert http_sender(receiver.url, {"x-key": "k"})(b"abc") is is_done
    headers, body = receiver.got[0]
    assert (headers["x-key"], headers["Content-Type"], body) == ("k", "application/x-protobuf", b"abc")


def test_a_collector_that_is_not_there_is_no_error() -> None:
    assert http_sender("http://127.0.0.1:9/v1/traces", {}, timeout=1)(b"abc") is False


CONFIGURED = """
import sys
from pathlib import Path
from opentelemetry import trace
from agentflow.telemetry.tracing import configure_tracing
provider = configure_tracing(spool=Path(sys.argv[1]), service="orders")
trace.get_tracer("x").start_span("configured").end()
provider.shutdown()
"""


def test_configure_tracing_sends_to_where_the_environment_says(receiver: Receiver, tmp_path: Path) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url.removesuffix("/v1/traces"),
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    subprocess.run([sys.executable, "-c", CONFIGURED, str(tmp_path)], check=True, env=env, timeout=60)
    headers, body = receiver.got[0]
    parsed = ExportTraceServiceRequest.FromString(body)
    resource = {one.key: one.value.string_value for one in parsed.resource_spans[0].resource.attributes}
    assert (headers["api-key"], resource["service.name"]) == ("s3cret", "orders")
    assert names_in(body) == ["configured"]


def test_sending_happens_by_itself(tmp_path: Path, collector: Collector) -> None:
    spool = SpanSpool(tmp_path, collector, every=0.05)
    recorded(spool, "a")
    end = time.monotonic() + 20
    while not collector.names:
        assert time.monotonic() < end
        time.sleep(0.01)
    spool.shutdown()


def test_a_spool_that_can_not_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="spans can't be kept"):
        configure_tracing(spool=tmp_path / "file" / "spool")
