"""Metrics, where somebody records them: how long, how many, how dear.

Attributes are of closed sets: names of agents, models, tools and rules, choices of ours. Tenants, ids and
what models say are none. The one that outsiders can make up, an error's type, is bounded here.
"""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import perf_counter

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram
from temporalio import workflow

from agentflow.contracts.budget import Usage
from agentflow.core.visible import visible_line
from agentflow.telemetry import semconv

Labels = Mapping[str, str]

MAX_VALUES = 100
"""Of one attribute whose values outsiders can make up; further ones are ``other``, and counted."""
MAX_LABEL = 100
"""Characters of one value."""
OTHER = "other"

_METER = metrics.get_meter("agentflow")

_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
"""Boundaries that the conventions advise for a model call."""
_TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
_DOLLARS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]
_DECISION_SECONDS = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
_PEOPLE_SECONDS = [10, 30, 60, 300, 900, 1800, 3600, 4 * 3600, 8 * 3600, 86400, 3 * 86400, 7 * 86400]
_RUN_SECONDS = [0.1, 0.3, 1, 3, 10, 30, 60, 300, 900, 3600, 4 * 3600, 86400, 7 * 86400, 30 * 86400]


def _histogram(name: str, unit: str, about: str, bounds: list[float]) -> Histogram:
    return _METER.create_histogram(name, unit, about, explicit_bucket_boundaries_advisory=bounds)


_OPERATIONS = _histogram(semconv.OPERATION_DURATION, "s", "One attempt of a model or tool call", _SECONDS)
_TOKEN_USAGE = _histogram(semconv.TOKEN_USAGE, "{token}", "Tokens of one model call", [*_TOKENS])
_TOKEN_COUNT = _METER.create_counter(semconv.TOKENS, "{token}", "Tokens by what they are priced as")
_COST = _histogram(semconv.RUN_COST, "{USD}", "What a run cost", _DOLLARS)
_RUNS = _histogram(semconv.RUN_DURATION, "s", "From a run's start to its outcome", _RUN_SECONDS)
_OUTCOMES = _METER.create_counter(semconv.RUN_OUTCOMES, "{run}", "Runs that ended")
_STOPS = _METER.create_counter(semconv.BUDGET_STOPS, "{run}", "Runs that their budget ended")
_FALLBACKS = _METER.create_counter(
    semconv.BUDGET_FALLBACKS, "{call}", "Calls that fit the budget with a cheaper model only"
)
_ESCALATIONS = _METER.create_counter(semconv.ESCALATIONS, "{escalation}", "Times a person had to take over")
_DECISIONS = _histogram(semconv.DECISION_DURATION, "s", "One decision of the rules", _DECISION_SECONDS)
_APPROVALS = _histogram(
    semconv.APPROVAL_DURATION, "s", "From asking people to their decision", [*_PEOPLE_SECONDS]
)
_TAKEN_OVER = _histogram(
    semconv.ESCALATION_DURATION, "s", "From an escalation to its end", [*_PEOPLE_SECONDS]
)
_UNKNOWNS = _METER.create_counter(
    semconv.LEDGER_UNKNOWNS, "{call}", "Writes of which nobody knows whether they happened"
)
_HITS = _METER.create_counter(semconv.CACHE_HITS, "{hit}", "Calls that were not made a second time")
_SEALS = _METER.create_counter(
    semconv.SEALS_REFUSED, "{call}", "Activities that were asked what no run sealed"
)
_PURGES = _METER.create_counter(
    semconv.PURGES_REFUSED, "{round}", "Times that a ledger forgot nothing, since the clocks differ"
)
_WAITING = _METER.create_gauge(semconv.WAITING, "{run}", "Runs that wait for people")
_WAITING_AGE = _METER.create_gauge(
    semconv.WAITING_AGE, "s", "How long the run that waits longest has been open"
)
_DROPPED = _METER.create_counter(semconv.TELEMETRY_DROPPED, "{item}", "What telemetry had no room for")


def is_measuring() -> bool:
    """Whether the application has set a meter provider."""
    # By name, as the proxy is not a public class.
    return type(metrics.get_meter_provider()).__name__ not in ("_ProxyMeterProvider", "NoOpMeterProvider")


@contextmanager
def operation(labels: Labels) -> Generator[dict[str, str]]:
    """Measure one attempt of a model or tool call.

    Yields:
        The labels, to which an error's type may be added by whoever takes the error as an answer.
    """
    told = dict(labels)
    start = perf_counter()
    try:
        yield told
    except Exception as error:
        told[semconv.ERROR_TYPE] = str(getattr(error, "type", None) or type(error).__name__)
        raise
    finally:
        if kind := told.get(semconv.ERROR_TYPE):
            told[semconv.ERROR_TYPE] = _ERROR_TYPES.bounded(kind)
        _OPERATIONS.record(perf_counter() - start, told)


def tokens(usage: Usage, labels: Labels) -> None:
    """Count what a model call used, in all and by what it is priced as."""
    _TOKEN_USAGE.record(usage.input_tokens, {**labels, semconv.TOKEN_TYPE: "input"})
    _TOKEN_USAGE.record(usage.output_tokens, {**labels, semconv.TOKEN_TYPE: "output"})
    read, write, thought = (
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.reasoning_output_tokens,
    )
    kinds = {
        "fresh": max(usage.input_tokens - read - write, 0),
        "cache_read": read,
        "cache_write": write,
        "answer": max(usage.output_tokens - thought, 0),
        "reasoning": thought,
    }
    for kind, count in kinds.items():
        if count:
            _TOKEN_COUNT.add(count, {**labels, semconv.TOKEN_KIND: kind})


def cache_hit(cache: str) -> None:
    """What an earlier attempt got was at hand."""
    _HITS.add(1, {semconv.CACHE: cache})


def effect_unknown(tool: str) -> None:
    """Nobody knows whether a write happened."""
    _UNKNOWNS.add(1, {semconv.TOOL_NAME: tool})


def may_be_unknown(tool: str) -> None:
    """Have the count of a tool begin at none: an alert sees nothing of a count that begins with one."""
    _UNKNOWNS.add(0, {semconv.TOOL_NAME: tool})


def seal_refused(activity: str) -> None:
    """Somebody asked an activity for what no run had sealed."""
    _SEALS.add(1, {semconv.TOOL_NAME: activity})


def purge_refused() -> None:
    """A ledger forgot nothing, since a clock is wrong."""
    _PURGES.add(1)


def waiting(agent: str, state: str, runs: int, oldest_seconds: float) -> None:
    """How many runs of an agent wait for people now, and the age of the oldest."""
    labels = {semconv.AGENT_NAME: agent, semconv.RUN_STATE: state}
    _WAITING.set(runs, labels)
    _WAITING_AGE.set(oldest_seconds, labels)


def dropped(signal: str, count: int = 1) -> None:
    """Something was left out of telemetry."""
    _DROPPED.add(count, {semconv.SIGNAL: signal})


class RunMetrics:
    """What workflow code counts: once, however often it is replayed."""

    def __init__(self, agent: str) -> None:
        self._agent = {semconv.AGENT_NAME: agent}

    def ended(self, outcome: str, release: str, cost_usd: float, seconds: float) -> None:
        """The run is over."""
        labels = {semconv.OUTCOME: outcome, semconv.RELEASE: release}
        self._add(_OUTCOMES, labels)
        self._record(_COST, cost_usd, labels)
        self._record(_RUNS, seconds, {semconv.OUTCOME: outcome})
        if outcome == "budget_exhausted":
            self._add(_STOPS, {})

    def fell_back(self, model: str) -> None:
        """The budget has room for a cheaper model of the route only."""
        self._add(_FALLBACKS, {semconv.REQUEST_MODEL: model})

    @contextmanager
    def deciding(self, tool: str) -> Generator[dict[str, str]]:
        """Measure a decision of the rules. What is yielded takes the verdict.

        The clock is read for whoever looks at the metric: nothing in the run depends on it.
        """
        labels = {semconv.TOOL_NAME: tool}
        start = perf_counter()
        yield labels
        self._record(_DECISIONS, perf_counter() - start, labels)

    def approval_ended(self, status: str, tool: str, seconds: float) -> None:
        """People decided, or let the deadline pass."""
        labels = {semconv.APPROVAL_STATUS: status, semconv.TOOL_NAME: tool}
        self._record(_APPROVALS, seconds, labels)

    def escalated(self) -> None:
        """A person must take over."""
        self._add(_ESCALATIONS, {})

    def escalation_ended(self, action: str, seconds: float) -> None:
        """People took over, or let the deadline pass (``expired``)."""
        self._record(_TAKEN_OVER, seconds, {semconv.ESCALATION_ACTION: action})

    def _add(self, counter: Counter, labels: Labels) -> None:
        if not workflow.unsafe.is_replaying_history_events():
            counter.add(1, {**self._agent, **labels})

    def _record(self, histogram: Histogram, amount: float, labels: Labels) -> None:
        if not workflow.unsafe.is_replaying_history_events():
            histogram.record(amount, {**self._agent, **labels})


class BoundedValues:
    """The values that an attribute has had in this process, up to a number."""

    def __init__(self, most: int = MAX_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def bounded(self, value: str) -> str:
        """The value, printable and not too long, or ``other`` once there are too many."""
        value = visible_line(value[:MAX_LABEL])[:MAX_LABEL]
        with self._lock:
            if value in self._known:
                return value
            if len(self._known) < self._most:
                self._known.add(value)
                return value
        dropped("labels")
        return OTHER


_ERROR_TYPES = BoundedValues()
