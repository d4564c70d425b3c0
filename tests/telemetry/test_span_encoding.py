"""What the spool writes of a span is what OpenTelemetry's own encoder would send."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from agentflow.telemetry.span_encoding import SpanEncoder

_INT64 = st.integers(-(2**63), 2**63 - 1)
_NANOSECONDS = st.integers(0, 2**63 - 1)
_VALUES = st.one_of(
    st.text(), st.booleans(), _INT64, st.floats(allow_nan=False), st.lists(st.text(), max_size=3).map(tuple)
)
_ATTRIBUTES = st.dictionaries(st.text(min_size=1), _VALUES, max_size=6)
_STATES = st.sampled_from([TraceState(), TraceState([("vendor", "value")])])
_CONTEXTS = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.just(TraceFlags(TraceFlags.SAMPLED)),
    trace_state=_STATES,
)
_SCOPES = st.builds(
    InstrumentationScope,
    name=st.text(min_size=1),
    version=st.none() | st.text(min_size=1),
    schema_url=st.none() | st.just("https://opentelemetry.io/schemas/1.40.0"),
)
_STATUSES = st.one_of(
    st.builds(Status, st.just(StatusCode.ERROR), st.none() | st.text()),
    st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK)]),
)
_SPANS = st.builds(
    ReadableSpan,
    name=st.text(),
    context=_CONTEXTS,
    parent=st.none() | _CONTEXTS,
    resource=st.sampled_from([Resource({"service.name": "a"}), Resource({}, "https://example.com/schema")]),
    attributes=_ATTRIBUTES,
    events=st.lists(st.builds(Event, st.text(), _ATTRIBUTES, _NANOSECONDS), max_size=1),
    links=st.lists(st.builds(Link, _CONTEXTS), max_size=1),
    kind=st.sampled_from(SpanKind),
    status=_STATUSES,
    start_time=_NANOSECONDS,
    end_time=_NANOSECONDS,
    instrumentation_scope=_SCOPES,
)


def _read(data: bytes) -> Any:
    return ExportTraceServiceRequest.FromString(data)


@given(st.lists(_SPANS, min_size=1, max_size=4))
def test_spans_are_encoded_as_opentelemetry_encodes_them(spans: list[ReadableSpan]) -> None:
    encoder = SpanEncoder()
    for span in spans:
        assert _read(encoder.encoded(span)) == encode_spans([span])


@pytest.mark.parametrize("value", ["\ud800", 2**70, -(2**70)], ids=["half a character", "large", "small"])
def test_a_value_that_has_no_encoding_costs_its_attribute_and_not_the_span(value: str | int) -> None:
    context = SpanContext(trace_id=1, span_id=2, is_remote=False, trace_flags=TraceFlags(1))
    span = ReadableSpan(
        name="chat",
        context=context,
        attributes={"odd": value, "plain": "yes"},
        start_time=1,
        end_time=2,
        instrumentation_scope=InstrumentationScope("agentflow"),
    )

    request = _read(SpanEncoder().encoded(span))

    (found,) = request.resource_spans[0].scope_spans[0].spans
    assert [attribute.key for attribute in found.attributes] == ["plain"]
