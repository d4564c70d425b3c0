"""Keys and passwords of many services, found with Yelp's detect-secrets, which asks nobody about them."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from agentflow.errors import MissingExtraError
from agentflow.ports.detectors import Finding

if find_spec("detect_secrets") is None:
    raise MissingExtraError("agentflow.adapters.detect_secrets", "detect-secrets")

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
from detect_secrets.plugins.ip_public import IPPublicDetector

_LEFT_OUT = (HighEntropyStringsPlugin, IPPublicDetector)


class DetectSecrets:
    """All of its plugins that know a form: AWS, GitHub, Slack, Stripe, JWT, private keys, ``password = …``.

    Those that go by entropy are left out: they take hashes and ids for secrets, which our texts are full of.
    """

    name: str = "detect-secrets"

    def __init__(self) -> None:
        kinds: Any = get_mapping_from_secret_type_to_class()
        self._plugins: list[Any] = [kind() for kind in kinds.values() if not issubclass(kind, _LEFT_OUT)]

    def find(self, text: str) -> Iterable[Finding]:
        """The secrets in a text."""
        for line in text.splitlines():
            for plugin in self._plugins:
                for secret in set(plugin.analyze_string(line)):
                    yield from _everywhere(secret, text)


def _everywhere(secret: str, text: str) -> Iterable[Finding]:
    start = text.find(secret) if secret else -1
    while start >= 0:
        yield Finding(start, start + len(secret), "secret")
        start = text.find(secret, start + len(secret))
