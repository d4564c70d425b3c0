"""Manifests as histories have them: answers of a local activity."""

from typing import Any

from agentflow.activity.history import LOCAL_ACTIVITY
from agentflow.adapters.history.finding import document
from agentflow.adapters.history.payloads import Payloads
from agentflow.contracts import names


async def manifest_in(marker: Any, payloads: Payloads) -> dict[str, Any] | None:
    """The manifest that a marker records; ``None`` where it records something else.

    Args:
        marker: The attributes of a marker's event.
        payloads: Of the history.

    Raises:
        UnreadableError: it can't be decoded.
    """
    if marker.marker_name != LOCAL_ACTIVITY or not {"data", "result"} <= set(marker.details):
        return None
    about = document(await payloads.value(marker.details["data"].payloads))
    if about.get("activity_type") != names.RESOLVE_MANIFEST_ACTIVITY:
        return None
    return document(await payloads.value(marker.details["result"].payloads))
