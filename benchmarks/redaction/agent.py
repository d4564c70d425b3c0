"""The agent whose runs are searched: its types mark what is personal, and much goes wrong."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field
from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    ModelOptions,
    Release,
    RetryOptions,
    ToolError,
    ToolOptions,
    ask,
    tool,
)

with workflow.unsafe.imports_passed_through():
    from agentflow.redaction import Personal, Secret

QUICK = RetryOptions(max_attempts=2, initial_interval=timedelta(milliseconds=10))
OPTIONS = ToolOptions(retry=QUICK)


class Person(BaseModel):
    """What is known of somebody."""

    email: Annotated[str, Personal("email")]
    phone: Annotated[str, Personal("phone")]
    card: Annotated[str, Personal("card")]
    iban: Annotated[str, Personal("iban")]
    ssn: Annotated[str, Personal("ssn")]
    api_key: Annotated[str, Secret()]
    name: Annotated[str, Personal("name")]


class Ticket(BaseModel):
    """A letter, and whom it is from."""

    people: list[Person]
    text: str


class Found(BaseModel):
    """An answer of the outside system."""

    people: list[Person]
    note: str


class Office:
    """Tools that say, in outputs and errors, all that they are given."""

    def __init__(self) -> None:
        self.outputs: dict[str, Found] = {}
        """What is found, by ticket."""
        self.errors: dict[str, tuple[str, str]] = {}
        """What a refusal and a crash say, by ticket."""

    @tool(effect="read", options=OPTIONS)
    async def find(self, ticket: str) -> Found:
        """Find people."""
        return self.outputs[ticket]

    @tool(effect="read", options=OPTIONS)
    async def check(self, ticket: str) -> str:
        """Check a ticket."""
        raise ToolError(self.errors[ticket][0])

    @tool(effect="read", options=OPTIONS)
    async def crash(self, ticket: str) -> str:
        """Break."""
        raise RuntimeError(self.errors[ticket][1])

    @tool(effect="write", recovery="key", options=OPTIONS)
    async def pay(self, person: Person, text: str) -> Annotated[str, Field(max_length=100)]:
        """Pay somebody."""
        return "paid"


@workflow.defn
class Clerk(AgentWorkflow[Ticket, str]):
    """Finds, fails, asks, breaks, answers."""

    instructions = "Do it."
    tools = (Office.find, Office.check, Office.crash, Office.pay)
    rules = (ask("payments", reason="a benchmark", tools=("pay",)),)
    release = Release(version="1", proven_models=("scripted:model",))
    model_options = ModelOptions(retry=QUICK)

    @workflow.run
    async def run(self, task: AgentTask[Ticket]) -> AgentOutcome[str]:
        """Start."""
        return await self.run_agent(task)
