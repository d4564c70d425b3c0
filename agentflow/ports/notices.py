"""How people hear that something waits for them."""

from typing import Protocol

from agentflow.contracts.notice import Notice


class Notifier(Protocol):
    """Delivers notices: a webhook, a queue, a chat."""

    async def notify(self, notice: Notice) -> None:
        """Deliver a notice. Whatever it raises is tried again until the notice's deadline.

        It may be called again for one that was delivered: the id is the same.

        Raises:
            NoticeRefusedError: nobody wants it; it is not tried again.
            OutsideError: it could not be delivered; with ``retry_after``, not before that.
        """
        ...
