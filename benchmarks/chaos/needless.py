"""Which questions to a person were asked without need: payments show that an automatic answer was safe."""

from collections.abc import Mapping, Sequence

from benchmarks.chaos.person import Question
from benchmarks.chaos.scenarios import LEDGER_IS_LOST, ScenarioName
from benchmarks.chaos.tools import ASKED


def is_needless(
    question: Question,
    scenario: ScenarioName,
    made: Mapping[str, int],
    chains: Sequence[str],
    *,
    is_tampered: bool,
) -> bool:
    """Whether nobody had to be asked.

    ============  ==============================================================================
    lost ledger   where the run's ledger is another one, was emptied or restored, or where its
                  record was changed, whoever notices may ask: never without need
    no write      nothing was in doubt: always without need, trying again was safe
    earlier       an earlier run of the workflow id: without need if payments have no refund of
                  its key and can be asked for it, or if it is the run's own
    in doubt      without need if payments can be asked (probe) or told the key again (key);
                  with a tool that can do neither only a person can tell
    ============  ==============================================================================

    Args:
        question: The question.
        scenario: What went wrong for its run.
        made: How many refunds payments have in the end, by key.
        chains: Of the run's executions.
        is_tampered: Whether the run's records were changed or deleted.
    """
    if is_tampered or scenario in LEDGER_IS_LOST:
        return False
    effect = question.effect
    if effect is None:
        return True
    if effect.earlier is None:
        return effect.tool != ASKED
    is_own = effect.earlier.chain == chains[-1] and len(set(chains)) == 1 if chains else False
    return is_own or (effect.tool != ASKED and not made.get(effect.earlier.key))
