"""Facts that a worker saw while a run was made, and that a replay must come to again: kept as patches.

A patch in Temporal's sense tells old code from new. Here its marker says that something was so; without a
marker it was not.
"""

from collections.abc import Callable

from temporalio import workflow
from temporalio.worker import PatchActivationInput

UNSEALED = "unsealed:"
"""An answer that no worker of the fleet sealed."""
UNSEALED_STATE = "unsealed-state"
"""A state that no execution of the run sealed."""
NOT_ALLOWED = "not-allowed:"
"""A call that rules did not simply allow: what they said is recorded."""

_ALL = (UNSEALED, UNSEALED_STATE, NOT_ALLOWED)


def is_kept(kind: str, which: str = "") -> bool:
    """While the run is made: keep the fact, and answer true. In a replay: whether it was kept.

    Args:
        kind: One of the above.
        which: Tells this fact from others of its kind.
    """
    return workflow.patched(f"{kind}{which}")


def activation_keeping_facts(
    activate: Callable[[PatchActivationInput], bool],
) -> Callable[[PatchActivationInput], bool]:
    """A worker's ``patch_activation_callback`` that lets no fact be left out, whatever its owner's says.

    One that answers false for patches it doesn't know would have forged answers believed.
    """

    def activate_facts(asked: PatchActivationInput) -> bool:
        return asked.patch_id.startswith(_ALL) or activate(asked)

    return activate_facts
