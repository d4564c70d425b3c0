# pyright: strict
"""agentflow as its users type it. Checked by pyright; never run.

pyright tests/typing/api.py
"""

from datetime import timedelta
from decimal import Decimal
from typing import assert_type

from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import Client

from agentflow import (
    AgentClient,
    AgentflowPlugin,
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    ApprovalOutcome,
    ApprovalRequest,
    Budget,
    DidNotHappen,
    Evidence,
    Happened,
    ModelOptions,
    Release,
    Resolution,
    RetryOptions,
    Rule,
    RuleContext,
    RuleSet,
    RunDenied,
    Tool,
    ToolContext,
    ToolError,
    ToolOptions,
    ToolResult,
    allow,
    ask,
    deny,
    run_blocking,
    sinks_from_trusted_input,
    tool,
    tools_of,
)
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.approval import DecisionReceipt
from agentflow.contracts.escalation import RunStatus
from agentflow.ports.ledger import EffectLedger
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin


class Ticket(BaseModel):
    text: str


class Verdict(BaseModel):
    refund: bool
    amount: Decimal


class Order(BaseModel):
    id: str
    paid_usd: Decimal


async def blocking() -> None:
    assert_type(await run_blocking(len, "seven"), int)
    await run_blocking(len, 7)  # pyright: ignore[reportArgumentType]


class Shop:
    @tool(effect="read")
    async def lookup(self, order_id: str, *, detailed: bool = False) -> Order:
        """Look an order up."""
        return Order(id=order_id, paid_usd=Decimal(5))

    @tool(effect="write", recovery="key", options=ToolOptions(retry=RetryOptions(max_attempts=2)))
    async def refund(self, order_id: str, amount: Decimal, context: ToolContext) -> None:
        """Refund an order."""
        context.heartbeat()
        if amount < 0:
            raise ToolError(f"no negative refunds, {context.idempotency_key}")


@tool(effect="read", name="time_of_day")
async def now() -> str:
    """What time it is."""
    return "noon"


def small(context: RuleContext) -> bool:
    assert_type(context.amount("amount"), Decimal)
    return context.amount("amount") <= 100


class Refunds(AgentWorkflow[Ticket, Verdict]):
    instructions = "Decide on refunds."
    models = ("default", "cheap")
    model_options = ModelOptions(max_output_tokens=500)
    tools = (Shop.lookup, Shop.refund, now)
    rules = (
        allow("small", reason="at most 100", when=small, tools=["refund"], tiers=("dev", "production")),
        ask(
            "large", reason="more than 100", when=lambda context: not small(context), people=2, roles=["ops"]
        ),
        deny("never", reason="frozen account", when=lambda context: "frozen" in context.tenant),
    )
    budget = Budget(cost_usd=Decimal("0.50"), wall_time=timedelta(hours=1))
    release = Release(version="1", proven_models=("anthropic:claude-sonnet-4-5",))

    @workflow.run
    async def run(self, task: AgentTask[Ticket]) -> AgentOutcome[Verdict]:
        return await self.run_agent(task)

    async def preflight(self, task: AgentTask[Ticket]) -> None:
        assert_type(task.input, Ticket)
        if not task.input.text:
            raise RunDenied("nothing was asked")

    async def perform(self, task: AgentTask[Ticket]) -> Verdict:
        summary = await self.chat(f"Summarise: {task.input.text}", output_type=str)
        assert_type(summary, str)
        verdict = await self.chat("Decide.", output_type=Verdict)
        assert_type(verdict, Verdict)
        choices = await self.chat("Which orders?", output_type=list[str])
        assert_type(choices, list[str])
        found = await self.call_tool(Shop.lookup, {"order_id": choices[0]})
        assert_type(found, ToolResult)
        assert_type(found.ok, bool)
        evidence = self.cite(found.call_id, "/paid_usd")
        assert_type(evidence, Evidence | None)
        approval = await self.request_approval(
            "close_account", arguments={"account": 7}, reason="it was asked for", people=2
        )
        assert_type(approval, ApprovalOutcome)
        if approval.status != "approved":
            assert_type(await self.escalate("nobody agreed"), Resolution)
        return verdict

    async def postflight(self, output: Verdict) -> None:
        assert_type(output.amount, Decimal)


async def tools_keep_the_types_of_their_functions() -> None:
    shop = Shop()
    assert_type(await shop.lookup("ORD-7", detailed=True), Order)
    assert_type(await now(), str)
    assert_type(now, Tool[[], str])
    assert_type(shop.lookup.contract.name, str)
    assert_type(await Shop.lookup(shop, "ORD-7"), Order)
    await shop.lookup(7)  # pyright: ignore[reportArgumentType]
    await shop.lookup("ORD-7", colour="red")  # pyright: ignore[reportCallIssue]
    assert len(tools_of(shop)) == 2


def a_tool_must_say_its_effect() -> None:
    tool()  # pyright: ignore[reportCallIssue]
    tool(effect="delete")  # pyright: ignore[reportArgumentType]


def a_sync_function_is_no_tool() -> None:
    def sync(order_id: str) -> str:
        return order_id

    tool(effect="read")(sync)  # pyright: ignore[reportArgumentType]


class Till:
    """A tool with a probe, on a class."""

    @tool(effect="irreversible", recovery="probe")
    async def refund(self, context: ToolContext, order_id: str) -> int:
        """Refund an order."""
        return len(order_id)

    @refund.probe
    async def find(self, context: ToolContext, order_id: str) -> Happened[int] | DidNotHappen:
        """The refund's cents."""
        return Happened(1) if order_id else DidNotHappen()


@tool(effect="write", recovery="probe")
async def pay(order_id: str) -> int:
    """Pay an order."""
    return len(order_id)


def a_probe_takes_what_its_tool_takes_and_answers_with_its_output() -> None:
    async def another_output(order_id: str) -> Happened[str] | DidNotHappen:
        return Happened(order_id)

    async def other_parameters(order_id: int) -> Happened[int] | DidNotHappen:
        return Happened(order_id)

    pay.probe(another_output)  # pyright: ignore[reportArgumentType]
    pay.probe(other_parameters)  # pyright: ignore[reportArgumentType]


def rules_are_values() -> None:
    assert_type(allow("all", reason=""), Rule)
    RuleSet("refunds", "1", (allow("small", reason=""), sinks_from_trusted_input()))
    allow("small", reason="", tiers=("prod",))  # pyright: ignore[reportArgumentType]
    allow("small", reason="", when=lambda context: "yes")  # pyright: ignore[reportArgumentType]


async def a_client_knows_the_types_of_results(temporal: Client) -> None:
    client = AgentClient(temporal)
    task = AgentTask[Ticket](input=Ticket(text="refund"), requested_by="ada")
    run = await client.start(Refunds, task, task_queue="agents")
    assert_type(run, str)
    outcome = await client.result(run, Verdict)
    assert_type(outcome, AgentOutcome[Verdict])
    assert_type(outcome.output, Verdict | None)
    assert_type(await client.status(run), RunStatus)
    for pending in await client.pending_approvals(run):
        assert_type(pending, ApprovalRequest)
        receipt = await client.approve(run, pending.id, by="cy", arguments_hash=pending.arguments_hash)
        assert_type(receipt, DecisionReceipt)


async def a_plain_temporal_client_does_as_well(temporal: Client) -> None:
    task = AgentTask(input=Ticket(text="refund"), requested_by="ada")
    outcome = await temporal.execute_workflow(Refunds.run, task, id="refund-1", task_queue="agents")
    assert_type(outcome, AgentOutcome[Verdict])


def a_plugin_takes_the_tools_of_an_object(ledger: SQLiteLedger) -> None:
    as_a_port: EffectLedger = ledger
    model = ScriptedModel([call("lookup", order_id="ORD-7"), answer({"refund": True, "amount": "5"})])
    assert_type(scripted_plugin(model, tools=[*tools_of(Shop()), now], ledger=as_a_port), AgentflowPlugin)
