from agentflow import tool


@tool(effect="write")
async def pay(order: str, amount: str) -> str:
    """Pay an order."""
    return f"paid {amount} for {order}"


@tool(effect="write")
async def transfer(amount: str) -> str:
    """Transfer an amount."""
    return f"transferred {amount}"


@tool(effect="write")
async def wire(amount: str, to: str) -> str:
    """Wire an amount. The bank does it, and its answer never comes."""
    raise TimeoutError(f"the bank did not answer; last seen: {to}")
