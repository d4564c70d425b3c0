"""Names of tools made from the names that others gave."""

import re


def tool_name(given: str) -> str:
    """A name that a tool can have: ``get_order`` for ``get-order``, ``get_orders`` for ``GET /orders``."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", given).strip("_")
    name = words if re.match(r"[A-Za-z]", words) else f"tool_{words}"
    return (name.lower() if " " in given else name)[:64].rstrip("_")
