"""The ``notify`` activity."""

import asyncio

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
            async with asyncio.timeout(NOTIFY_SECONDS):
                await self._notifier.notify(notice)
        except TimeoutError:
            raise to_application_error(OutsideError(f"no answer within {NOTIFY_SECONDS:g} s")) from None
        except Exception as error:
            raise to_application_error(error) from None
