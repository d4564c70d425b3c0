"""Tools whose types make something else of what models write."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints

from agentflow import tool

Mail = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)]


class Parcel(BaseModel):
    """What is sent."""

    weight: Decimal
    label: str = "plain"


class Posts:
    """Remembers what it sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Parcel, str]] = []

    @tool(effect="irreversible")
    async def post(self, to: Mail, parcel: Parcel, currency: str = "USD") -> str:
        """Send a parcel."""
        self.sent.append((to, parcel, currency))
        return to


def sent(to: str, weight: Any, **more: Any) -> dict[str, Any]:
    """Arguments of ``post``."""
    return {"to": to, "parcel": {"weight": weight, **more}}
