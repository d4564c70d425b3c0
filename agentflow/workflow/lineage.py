"""Which run an execution is of, and whether it knows of all that this run has done."""

from temporalio import workflow

from agentflow.core.idempotency import chain_of


def chain() -> str:
    """Which run of its workflow id an execution is of."""
    info = workflow.info()
    return chain_of(
        info.first_execution_run_id, info.original_execution_run_id, is_cron=bool(info.cron_schedule)
    )


class Lineage:
    """What an execution has behind it.

    One that was reset, or that Temporal tries again, begins behind what an execution before it may have done.
    The answers stay the same in every replay: after a reset workflow code sees another run id from its
    beginning on, and another random seed only from the reset's point on.
    """

    def __init__(self) -> None:
        self._seed = workflow.random_seed()
        self._knew_all = False
        self._was_reset = False

    def take_up(self, *, knew_all: bool) -> None:
        """The execution before this one, which continued as new, knew all, or didn't."""
        self._knew_all = knew_all

    def begin(self, *, was_reset: bool) -> None:
        """Its worker says whether this execution came of a reset to before here."""
        self._was_reset = was_reset

    @property
    def knows_all(self) -> bool:
        """Whether no execution of the run did anything that this one doesn't know of."""
        info = workflow.info()
        if info.attempt > 1 or self._was_reset or workflow.random_seed() != self._seed:
            return False
        return self._knew_all or info.original_execution_run_id == chain()
