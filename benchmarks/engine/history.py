"""What Temporal keeps of a run."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

_CHATS = ("naive_chat", "minimal_chat", "chat")
"""The activities that call the model, of all arms."""


@dataclass(frozen=True)
class History:
    """What the executions of a run's chain came to, together."""

    kb: float
    """As the server counts it; 1 kB is 1,000 bytes."""
    events: int
    workflow_tasks: int
    executions: int
    turn_ms: tuple[float, ...]
    """From each model call's scheduling to the next one's: as many as there were whole turns."""


async def read_history(client: Client, workflow_id: str, run_id: str | None) -> History:
    """Read the history of a run, from one execution to the last that continues it."""
    kb, events, tasks, executions, chats = 0.0, 0, 0, 0, list[datetime]()
    while run_id:
        execution = client.get_workflow_handle(workflow_id, run_id=run_id)
        described = await execution.describe()
        kb += described.raw_description.workflow_execution_info.history_size_bytes / 1_000
        executions, run_id = executions + 1, None
        async for event in execution.fetch_history_events():
            events += 1
            tasks += event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            if event.activity_task_scheduled_event_attributes.activity_type.name in _CHATS:
                chats.append(event.event_time.ToDatetime())
            continued = event.workflow_execution_continued_as_new_event_attributes
            run_id = continued.new_execution_run_id or run_id
    turns = ((later - earlier).total_seconds() * 1_000 for earlier, later in pairwise(chats))
    return History(kb, events, tasks, executions, tuple(turns))
