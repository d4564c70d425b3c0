"""What the runs say, held against what payments say. The package's docstring has the words."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from activities.payments import KEY_METADATA, PaymentRefund
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.outcome import OutcomeStatus, ToolCallSummary
from agentflow.contracts.wire import Sha256
from agentflow.core.idempotency import ledger_key, run_root
from benchmarks.chaos.needless import is_needless
from benchmarks.chaos.person import Question
from benchmarks.chaos.runs import Execution, PlannedRun
from benchmarks.chaos.scenarios import LEDGER_IS_LOST, ScenarioName
from benchmarks.chaos.temporal import NAMESPACE
from benchmarks.chaos.tools import ORDER_METADATA, REFUNDS

MAX_CALLS = 30
"""More than a run makes; what is made under no key of these belongs to nobody."""

ZEROS = (
    "duplicate_effects",
    "lost_effects",
    "false_done",
    "stuck_runs",
    "lost_runs",
    "open_records",
)
"""What must not be."""


@dataclass(frozen=True)
class Seen:
    """What there is besides the runs themselves."""

    refunds: Sequence[PaymentRefund] = ()
    """All that payments have."""
    records: Sequence[EffectRecord] = ()
    """All that the ledgers have; none where there is no ledger."""
    questions: Sequence[Question] = ()
    """All that the person was asked, and answered."""
    asking: Collection[str] = ()
    """Runs that are open, and wait for an answer that the person has not given yet."""
    tampered: Collection[str] = ()
    """Runs whose records somebody has changed or deleted."""


@dataclass
class Verdict:
    """Figures by scenario, and a line of evidence for each that must not be."""

    figures: dict[ScenarioName, Counter[str]] = field(
        default_factory=lambda: defaultdict[ScenarioName, Counter[str]](Counter)
    )
    evidence: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Run and finding."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(figures[name] for figures in self.figures.values() for name in ZEROS)

    def total(self, name: str) -> int:
        """A figure over all scenarios."""
        return sum(figures[name] for figures in self.figures.values())


def judge(runs: Sequence[PlannedRun], seen: Seen) -> Verdict:
    """Compare.

    Args:
        runs: As they ended, or didn't.
        seen: What there is besides.
    """
    verdict = Verdict()
    refunds: dict[str, list[PaymentRefund]] = defaultdict(list)
    for refund in seen.refunds:
        refunds[refund.metadata[ORDER_METADATA]].append(refund)
    records: dict[str, list[EffectRecord]] = defaultdict(list)
    for record in seen.records:
        records[record.workflow_id].append(record)
    for run in runs:
        questions = [question for question in seen.questions if question.workflow_id == run.workflow_id]
        one = _Judged(run, refunds[run.task.order_id], records[run.workflow_id], questions, verdict)
        one.judge(is_asking=run.workflow_id in seen.asking, is_tampered=run.workflow_id in seen.tampered)
    return verdict


class _Judged:
    """One run, and all that is known of it."""

    def __init__(
        self,
        run: PlannedRun,
        refunds: Sequence[PaymentRefund],
        records: Sequence[EffectRecord],
        questions: Sequence[Question],
        verdict: Verdict,
    ) -> None:
        self._run = run
        self._refunds = refunds
        self._records = records
        self._questions = questions
        self._verdict = verdict
        self._made: Counter[str] = Counter(refund.metadata[KEY_METADATA] for refund in refunds)
        """Refunds by key."""
        self._shown = {question.effect.key for question in questions if question.effect}

    def judge(self, *, is_asking: bool, is_tampered: bool) -> None:
        run = self._run
        self._count("runs")
        self._count("executions", len(run.executions))
        for execution in run.executions:
            self._count("continued_as_new", execution.is_continued)
            if execution.outcome is not None:
                self._count(execution.outcome.status)
        self._judge_fate(is_asking=is_asking)
        self._judge_number()
        if run.fate == "ended":
            for execution in run.executions:
                self._judge_execution(execution)
            if run.scenario not in LEDGER_IS_LOST and not is_tampered:
                self._judge_records()
        for question in self._questions:
            self._count("people_asked")
            chains = [execution.chain for execution in run.executions]
            if is_needless(question, run.scenario, self._made, chains, is_tampered=is_tampered):
                self._count("people_asked_without_need")
                self._verdict.evidence.append((run.workflow_id, f"asked without need: {question.reason}"))

    def _count(self, name: str, number: int = 1) -> None:
        self._verdict.figures[self._run.scenario][name] += number

    def _found(self, name: str, what: str, number: int = 1) -> None:
        self._count(name, number)
        self._verdict.evidence.append((self._run.workflow_id, f"{name}: {what}"))

    def _judge_fate(self, *, is_asking: bool) -> None:
        if self._run.fate == "lost":
            self._found("lost_runs", self._run.problem)
        elif self._run.fate != "ended" and is_asking:
            self._count("still_asking")
        elif self._run.fate != "ended":
            self._found("stuck_runs", f"still {self._run.fate} at the deadline")

    def _judge_number(self) -> None:
        """One refund is due for each piece of work; none where an earlier one is there and is enough."""
        left = sum(self._made.values())
        before = 0
        for chain in dict.fromkeys(execution.chain for execution in self._run.executions):
            keys = _keys(self._run, chain)
            made = sum(self._made[key] for key in keys)
            due = 1
            if before and self._run.scenario != "cron":
                due = int(self._is_wanted_again(keys))
            if made > due:
                named = sorted(key[:12] for key in keys if self._made[key])
                self._found("duplicate_effects", f"{made} refunds, due {due}, keys {named}", made - due)
            left -= made
            before += made
        if left:
            self._found("duplicate_effects", f"{left} refunds under keys of no execution", left)

    def _is_wanted_again(self, keys: Collection[str]) -> bool:
        return any(
            question.answer == "again" and question.effect and question.effect.key in keys
            for question in self._questions
        )

    def _judge_execution(self, execution: Execution) -> None:
        outcome = execution.outcome
        if outcome is None:
            return
        lost: list[str] = []
        root = run_root(NAMESPACE, self._run.workflow_id)
        for index, call in enumerate(outcome.tool_calls, start=1):
            key = ledger_key(root, execution.chain, index, call.tool)
            if call.effect == "done" and not self._made[key]:
                whose = "of others only" if self._refunds else "not at all"
                self._found("false_done", f"call {key[:12]} is done, and payments have it {whose}")
            if problem := self._contradiction(outcome.status, key, call):
                lost.append(f"call {key[:12]}: {problem}")
        effects = {call.effect for call in outcome.tool_calls}
        report = outcome.output
        is_there = bool(effects & {"done", "counted"}) and bool(self._refunds)
        if outcome.status == "completed" and (report is None or report.refunded != is_there):
            lost.append(f"reports {report}, and payments have {len(self._refunds)} refunds")
        own = _keys(self._run, execution.chain)
        for refund in self._refunds:
            if refund.metadata[KEY_METADATA] in own and refund.amount_usd != self._run.task.amount_usd:
                lost.append(f"{refund.refund_id} is of ${refund.amount_usd}")
        named = {
            ledger_key(root, execution.chain, index, call.tool)
            for index, call in enumerate(outcome.tool_calls, start=1)
        }
        # Of a run that was reset, the execution before says nothing of what the next one does.
        is_last = execution is [one for one in self._run.executions if one.chain == execution.chain][-1]
        if is_last and (unnamed := {key for key in own if self._made[key]} - named):
            lost.append(f"refunds with keys {sorted(unnamed)} belong to no call of the outcome")
        if lost:
            self._found("lost_effects", "; ".join(lost))

    def _contradiction(self, status: OutcomeStatus, key: Sha256, call: ToolCallSummary) -> str | None:
        happened = bool(self._made[key])
        match call.effect:
            case "done":
                return None if self._refunds else "done, and payments have no refund"
            case "failed":
                return "failed, and payments have a refund" if happened else None
            case "unknown":
                return None if self._is_told(status, key) else "unknown, and nobody was shown it"
            case "counted" if happened:
                return "an earlier run's, and payments have a refund of this one"
            case "counted":
                return None if self._refunds else "counted, and payments have no refund"
            case None:
                return "not begun, and payments have a refund" if happened else None

    def _is_told(self, status: OutcomeStatus, key: Sha256) -> bool:
        """Whether a run may end with an effect in doubt: a person gave up on it, or on the whole run."""
        return status == "cancelled" or (status == "escalated" and key in self._shown)

    def _judge_records(self) -> None:
        outcomes = {execution.chain: execution.outcome for execution in self._run.executions}
        for record in self._records:
            outcome = outcomes.get(record.chain)
            if outcome is None:
                continue  # terminated, or not ended: it may leave anything open
            is_done = record.state == "done" and record.counts is None
            if record.state in ("done", "failed") and is_done != bool(self._made[record.key]):
                self._found("lost_effects", f"the ledger has {record.key[:12]} as {record.state}, untruly")
            if record.is_open and not self._is_told(outcome.status, record.key):
                self._found("open_records", f"record {record.key[:12]} is {record.state}")


def _keys(run: PlannedRun, chain: str) -> frozenset[Sha256]:
    """All keys that a piece of work of a run may use."""
    root = run_root(NAMESPACE, run.workflow_id)
    calls: Iterable[tuple[int, str]] = product(range(1, MAX_CALLS + 1), REFUNDS)
    return frozenset(ledger_key(root, chain, index, name) for index, name in calls)
