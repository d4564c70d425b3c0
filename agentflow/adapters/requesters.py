"""Whose word a worker takes for who asked for a run: a token's, or a header's."""

from datetime import timedelta

from agentflow.contracts.requester import LONGEST_START, RequesterPolicy
from agentflow.core.durations import checked
from agentflow.errors import ConfigurationError
from agentflow.ports.approvers import ApproverSource


class SignedRequesters:
    """Give it to ``AgentflowPlugin(requesters=)``: whoever asks for a run signs its start.

    A person signs with a key of their own. A service that knows who its users are signs for them, with a key
    whose ``subjects`` are theirs (``*@example.com``, or ``*``): the keys are the list of those who may start
    runs for others.
    """

    def __init__(
        self, keys: ApproverSource, *, unverified: bool = False, longest: timedelta = LONGEST_START
    ) -> None:
        """Take the keys from where approvers' are, such as a ``JwksFile``.

        Args:
            keys: Those that starts are signed with.
            unverified: Whether a run may begin without a token; it then reads "not verified".
            longest: A token that counts for longer is refused.
        """
        self._keys, self._unverified = keys, unverified
        self._longest = checked("longest", longest)

    async def policy(self) -> RequesterPolicy:
        """The keys as they are now.

        Raises:
            ConfigurationError: they can't be told, or there are none.
        """
        keys = await self._keys.keys()
        if not keys:
            raise ConfigurationError("there is no key that starts could be signed with")
        return RequesterPolicy(keys=keys, unverified=self._unverified, longest=self._longest)


class HeaderRequesters:
    """Give it to ``AgentflowPlugin(requesters=)``: what starts runs sets the requester's name in a header.

    For a gateway that knows its clients (by mutual TLS, by a session) and is the only way to start runs. The
    header is as good as the gateway that takes it away from everybody else: whoever reaches Temporal in
    another way can set it too.
    """

    def __init__(self, header: str, *, unverified: bool = False) -> None:
        """Name the header.

        Args:
            header: Of the workflow's start, not of the gRPC call. Its value is the name, as a JSON string.
            unverified: Whether a run may begin that was started without it; it then reads "not verified".

        Raises:
            ConfigurationError: the name is empty.
        """
        if not header.strip():
            raise ConfigurationError("HeaderRequesters needs the name of a header")
        self._policy = RequesterPolicy(header=header, unverified=unverified)

    async def policy(self) -> RequesterPolicy:
        """The header's name."""
        return self._policy
