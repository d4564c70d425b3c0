"""The support tickets as a demo: who stands in for people, and what payments says in the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from activities.payments import KEY_METADATA, WORKFLOW_METADATA, PaymentRefund, Payments
from agentflow.cli.suite import DemoCase, EffectCheck, StandIn
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.outcome import AgentOutcome
from agentflow.contracts.task import AgentTask
from workflows.support_answers import SupportResult
from workflows.support_refund import SupportRefund
from workflows.support_tickets import LabelledTicket, RefundEnd, Ticket, load_tickets


@dataclass(frozen=True)
class SupportCase:
    """A labelled ticket."""

    labelled: LabelledTicket

    @property
    def case_id(self) -> str:
        """The ticket's id."""
        return self.labelled.ticket.ticket_id

    @property
    def title(self) -> str:
        """The ticket's subject."""
        return self.labelled.ticket.subject

    def task(self) -> AgentTask[Ticket]:
        """The ticket without its label."""
        ticket = self.labelled.ticket
        return AgentTask(
            input=ticket, requested_by="support-inbox", customer_tier=self.labelled.customer_tier
        )

    def stand_in(self, request: ApprovalRequest) -> StandIn:
        """Somebody who read the ticket agrees to what its label accepts, and to nothing else."""
        note = self.labelled.label.note
        if request.tool == "refund_order":
            order_id, amount = (
                str(request.arguments["order_id"]),
                Decimal(str(request.arguments["amount_usd"])),
            )
            return StandIn("approve" if self.accepts(order_id, amount) else "reject", note)
        ends = {end.end for end in self.labelled.label.acceptable}
        # A reply follows each refund, so it is right wherever anything but a hand-over is.
        return StandIn("approve" if ends - {"escalated"} else "reject", note)

    def proposal(self, outcome: AgentOutcome[Any]) -> str:
        """The refunds or the reply that the agent wanted to make."""
        refunds = [
            f"refund {call.arguments.get('order_id')} ${call.arguments.get('amount_usd')}"
            for call in outcome.tool_calls
            if call.tool == "refund_order"
        ]
        output = outcome.output
        if refunds:
            return ", ".join(refunds)
        if isinstance(output, SupportResult):
            return output.action
        return "reply" if any(call.tool == "send_reply" for call in outcome.tool_calls) else "none"

    def matches(self, outcome: AgentOutcome[Any]) -> bool:
        """Whether the label accepts the end: for refunds, exactly these amounts on these orders."""
        return any(self._is(end, outcome) for end in self.labelled.label.acceptable)

    def accepts(self, order_id: str, amount_usd: Decimal) -> bool:
        """Whether the label accepts this refund."""
        return (order_id, amount_usd) in self._right_refunds()

    def _right_refunds(self) -> set[tuple[str, Decimal]]:
        ends = [end for end in self.labelled.label.acceptable if isinstance(end, RefundEnd)]
        return {(order_id, amount) for end in ends for order_id, amount in end.refunds.items()}

    @staticmethod
    def _is(end: Any, outcome: AgentOutcome[Any]) -> bool:
        result = outcome.output
        if outcome.status == "escalated":
            return end.end == "escalated"
        if outcome.status != "completed" or not isinstance(result, SupportResult) or end.end != result.action:
            return False
        made = {order_id: Decimal(amount) for order_id, amount in result.refunds.items()}
        return not isinstance(end, RefundEnd) or made == end.refunds


@dataclass(frozen=True)
class SupportSuite:
    """All tickets."""

    workflow: str = SupportRefund.__name__
    output_type: type[SupportResult] = SupportResult

    def cases(self, *, everything: bool) -> Sequence[SupportCase]:
        """Twelve tickets, or all thirty."""
        return [SupportCase(ticket) for ticket in load_tickets() if everything or ticket.demo]

    async def check(self, runs: Mapping[str, DemoCase], environment: Mapping[str, str]) -> EffectCheck:
        """Every refund that payments has, against the label of the ticket whose run made it."""
        payments = Payments(environment["AGENTFLOW_PAYMENTS_KEY"], environment["AGENTFLOW_PAYMENTS_URL"])
        try:
            refunds = await payments.list_refunds()
        finally:
            await payments.close()
        # Those without a key were made before the agent came: the shop's own past.
        ours = [refund for refund in refunds if KEY_METADATA in refund.metadata]
        wrong = [refund for refund in ours if not _is_right(refund, runs)]
        made = Counter((r.metadata.get(WORKFLOW_METADATA), r.charge_id, r.amount_usd) for r in ours)
        return EffectCheck(wrong=len(wrong), duplicate=len(ours) - len(made))


def _is_right(refund: PaymentRefund, runs: Mapping[str, DemoCase]) -> bool:
    case = runs.get(refund.metadata.get(WORKFLOW_METADATA, ""))
    return isinstance(case, SupportCase) and case.accepts(refund.metadata["order_id"], refund.amount_usd)


SUITE = SupportSuite()
