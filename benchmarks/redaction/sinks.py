"""All that leaves, by run: a collector of OTLP, the log, and what Temporal shows without being asked."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from temporalio.client import WorkflowHandle

from agentflow.contracts.names import APPROVALS_MEMO
from agentflow.telemetry import semconv
from benchmarks.otlp import OtlpServer

EVERYBODY = ""
"""What is of no run alone."""


class Sinks:
    """Texts by sink and run."""

    def __init__(self) -> None:
        self.texts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def add(self, sink: str, run: str, text: str) -> None:
        """Something left."""
        self.texts[sink][run].append(text)

    def whole(self, sink: str, run: str) -> str:
        """All that left there of a run, or of nobody in particular, in small letters."""
        found = self.texts[sink]
        return "\n".join([*found.get(run, ()), *found.get(EVERYBODY, ())]).lower()

    def size(self, sink: str) -> int:
        """Characters in all."""
        return sum(len(text) for texts in self.texts[sink].values() for text in texts)

    async def look(self, handle: WorkflowHandle[Any, Any]) -> None:
        """What anybody may see of a run now."""
        metadata = await handle.query("__temporal_workflow_metadata")
        self.add("details", handle.id, metadata.current_details)
        about = await handle.describe()
        self.add(
            "memo", handle.id, json.dumps(await about.memo_value(APPROVALS_MEMO, None), ensure_ascii=False)
        )
        self.add("search_attributes", handle.id, str(about.typed_search_attributes))

    async def read_history(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Summaries; and history itself, which is no sink: it must have all that was planted."""
        async for event in handle.fetch_history_events():
            self.add("summaries", handle.id, event.user_metadata.SerializeToString().decode(errors="replace"))
            self.add("history", handle.id, event.SerializeToString().decode(errors="replace"))

    def read_log(self, file: Path) -> None:
        """The log, line by line."""
        for line in file.read_text(encoding="utf-8").splitlines():
            self.add("logs", json.loads(line).get("workflow_id", EVERYBODY), json_text(line))


def json_text(text: str) -> str:
    """JSON as it reads, without escapes that would hide a value from whoever looks for it."""
    return json.dumps(json.loads(text), ensure_ascii=False)


def collector(sinks: Sinks) -> OtlpServer:
    """A server that puts the spans and metrics that it gets into the sinks."""

    def take(path: str, headers: Mapping[str, str], body: bytes) -> None:
        if path.endswith("/v1/traces"):
            _add_spans(sinks, body)
        else:
            sinks.add("metrics", EVERYBODY, body.decode(errors="replace"))

    return OtlpServer(take)


def _add_spans(sinks: Sinks, body: bytes) -> None:
    for part in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in part.scope_spans:
            for span in scope.spans:
                run = next(
                    (a.value.string_value for a in span.attributes if a.key == semconv.CONVERSATION_ID), ""
                )
                # Attributes with contents are JSON: as it reads, with quotes unescaped.
                text = span.SerializeToString().decode(errors="replace")
                sinks.add("spans", run, text + text.replace('\\"', '"').replace("\\\\", "\\"))
