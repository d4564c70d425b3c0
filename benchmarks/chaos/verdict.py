"""What the runs say, held against what payments say. The package's docstring has the words."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from activities.payments import KEY_METADATA, WORKFLOW_METADATA, PaymentRefund
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.outcome import OutcomeStatus
from agentflow.contracts.wire import Sha256
from agentflow.core.idempotency import ledger_key, run_root
from benchmarks.chaos.runs import PlannedRun
from benchmarks.chaos.temporal import NAMESPACE

Shown = Collection[tuple[str, Sha256]]
"""Effects in doubt that a person was shown, by run and key."""


@dataclass
class Verdict:
    """What is wrong, with a line of evidence for each."""

    duplicate_effects: int = 0
    lost_effects: int = 0
    lost_runs: int = 0
    stuck_runs: int = 0
    open_records: int = 0
    evidence: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Run and finding."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.duplicate_effects
            or self.lost_effects
            or self.lost_runs
            or self.stuck_runs
            or self.open_records
        )


def judge(
    runs: Sequence[PlannedRun],
    refunds: Iterable[PaymentRefund],
    records: Iterable[EffectRecord],
    shown: Shown,
) -> Verdict:
    """Compare.

    Args:
        runs: As they ended, or didn't.
        refunds: All that payments have.
        records: All that the ledger has; none when there is no ledger.
        shown: What a person was shown.
    """
    verdict = Verdict()
    paid = _by_run(refunds)
    recorded: dict[str, list[EffectRecord]] = defaultdict(list)
    for record in records:
        recorded[record.workflow_id].append(record)
    for run in runs:
        made = paid.get(run.workflow_id, [])
        if len(made) > 1:
            verdict.duplicate_effects += len(made) - 1
            keys = sorted(refund.metadata[KEY_METADATA][:12] for refund in made)
            verdict.evidence.append((run.workflow_id, f"{len(made)} refunds, keys {keys}"))
        _judge_fate(verdict, run)
        if run.outcome is None:
            continue
        if problems := [*_contradictions(run, made, shown), *_false_records(recorded[run.workflow_id], made)]:
            verdict.lost_effects += 1
            verdict.evidence += [(run.workflow_id, problem) for problem in problems]
        for record in recorded[run.workflow_id]:
            if record.is_open and not _is_told(run.outcome.status, (run.workflow_id, record.key), shown):
                verdict.open_records += 1
                verdict.evidence.append((run.workflow_id, f"record {record.key[:12]} is {record.state}"))
    return verdict


def _judge_fate(verdict: Verdict, run: PlannedRun) -> None:
    if run.fate == "lost":
        verdict.lost_runs += 1
        verdict.evidence.append((run.workflow_id, f"lost: {run.problem}"))
    elif run.fate != "ended":
        verdict.stuck_runs += 1
        verdict.evidence.append((run.workflow_id, f"still {run.fate} at the deadline"))


def _contradictions(run: PlannedRun, made: Sequence[PaymentRefund], shown: Shown) -> Iterable[str]:
    """What the outcome says that payments don't, or the other way round."""
    outcome = run.outcome
    assert outcome is not None
    report = outcome.output
    if outcome.status == "completed" and (report is None or report.refunded != bool(made)):
        yield f"reports {report}, and payments have {len(made)} refunds"
    for refund in made:
        if refund.amount_usd != run.task.amount_usd:
            yield f"{refund.refund_id} is of ${refund.amount_usd}, asked for was ${run.task.amount_usd}"
    happened = {refund.metadata[KEY_METADATA] for refund in made}
    root = run_root(NAMESPACE, run.workflow_id)
    keys = [
        ledger_key(root, run.chain, index, call.tool)
        for index, call in enumerate(outcome.tool_calls, start=1)
    ]
    for key, call in zip(keys, outcome.tool_calls, strict=True):
        told = _is_told(outcome.status, (run.workflow_id, key), shown)
        if problem := _contradiction(call.effect, happened=key in happened, told=told):
            yield f"call {key[:12]}: {problem}"
    if unnamed := happened - set(keys):
        yield f"refunds with keys {sorted(unnamed)} belong to no call of the outcome"


def _is_told(status: OutcomeStatus, effect: tuple[str, Sha256], shown: Shown) -> bool:
    """Whether a run may end with an effect in doubt: a person gave up on it, or on the whole run."""
    return status == "cancelled" or (status == "escalated" and effect in shown)


def _contradiction(
    effect: Literal["done", "failed", "unknown", "counted"] | None, *, happened: bool, told: bool
) -> str | None:
    match effect:
        case "done":
            return None if happened else "done, and payments have no refund"
        case "failed":
            return "failed, and payments have a refund" if happened else None
        case "unknown":
            return None if told else "unknown, and nobody was shown it"
        case "counted":
            return "an earlier run's, and payments have a refund of this one" if happened else None
        case None:
            return "not begun, and payments have a refund" if happened else None


def _false_records(records: Sequence[EffectRecord], made: Sequence[PaymentRefund]) -> Iterable[str]:
    happened = {refund.metadata[KEY_METADATA] for refund in made}
    for record in records:
        if record.state in ("done", "failed") and (record.state == "done") != (record.key in happened):
            yield f"the ledger has {record.key[:12]} as {record.state}, and payments say the opposite"


def _by_run(refunds: Iterable[PaymentRefund]) -> Mapping[str, list[PaymentRefund]]:
    found: dict[str, list[PaymentRefund]] = defaultdict(list)
    for refund in refunds:
        found[refund.metadata[WORKFLOW_METADATA]].append(refund)
    return found
