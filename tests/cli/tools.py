from agentflow import tool


@tool(effect="write")
async def pay(order: str, amount: str) -> str:
    """Pay an order."""
    return f"paid {amount} for {order}"


@tool(effect="write")
async def transfer(amount: str) -> str:
    """Transfer an amount."""
    return f"transferred {amount}"
