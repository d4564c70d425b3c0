"""Types that say what is personal, and tools that take and give them, for ``test_redaction``."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel

from agentflow import RetryOptions, ToolError, ToolOptions, tool
from agentflow.redaction import Personal, Secret

Email = Annotated[str, Personal("email")]
ONCE = ToolOptions(retry=RetryOptions(max_attempts=1, initial_interval=timedelta(milliseconds=10)))


class Ticket(BaseModel):
    email: Email
    age: Annotated[int, Personal("age")]
    text: str


class Customer(BaseModel):
    name: Annotated[str, Personal("name")]
    password: Annotated[str, Secret()]
    city: str


class Desk:
    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.greeted: list[str] = []

    @tool(effect="read", options=ONCE)
    async def find(self, email: Email) -> Customer:
        """Find a customer."""
        if self.failure:
            raise self.failure
        return Customer(name="Anna Meier", password="hunter2!", city="Ghent")

    @tool(effect="write", options=ONCE)
    async def greet(self, email: Email, age: Annotated[int, Personal("age")], text: str) -> str:
        """Greet a customer."""
        self.greeted.append(email)
        raise ToolError(f"no greeting for {email}")
