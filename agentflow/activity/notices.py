"""The ``notify`` activity."""

from agentflow.activity.bounded import answered, close_unawaited
from agentflow.activity.failures import to_application_error
from agentflow.contracts.notice import Notice
from agentflow.errors import OutsideError
from agentflow.ports.notices import Notifier

NOTIFY_SECONDS = 20.0
"""For one attempt."""


class NotifyActivity:
    """Delivers notices of a worker's runs."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def notify(self, notice: Notice) -> None:
        """Deliver a notice.

        Raises:
            ApplicationError: it could not be delivered; retryable unless nobody wants it.
        """
        try:
            said: object = await answered(lambda: self._notifier.notify(notice), NOTIFY_SECONDS)
        except TimeoutError:
            raise to_application_error(OutsideError(f"no answer within {NOTIFY_SECONDS:g} s")) from None
        except Exception as error:
            raise to_application_error(error) from None
        if said is not None:
            # It may be how it says that nothing was delivered.
            close_unawaited(said)
            raise to_application_error(OutsideError(f"the notifier answered {type(said).__name__}"))
