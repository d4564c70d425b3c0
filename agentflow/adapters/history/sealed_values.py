"""Values in a history that count only under a worker's seal."""

from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client
from temporalio.common import RawValue

from agentflow.adapters.history.finding import document
from agentflow.adapters.history.payloads import UnreadableError
from agentflow.contracts.names import SEAL_METADATA
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.seal import ANY_EXECUTION, NEVER, Scope, Seal, SealKeys
from agentflow.workflow.sealing import STATE, STATE_DEPTH


class SealedValues:
    """Reads the sealed values of one workflow id: ``None`` is what no worker of the fleet has sealed."""

    def __init__(self, client: Client, keys: SealKeys, workflow_id: str) -> None:
        self._client = client
        self._keys = keys
        self._workflow_id = workflow_id

    async def call_in(self, argument: Payloads) -> str | None:
        """The call that an activity's argument says it is of. Believe it only with its answer."""
        _, seal = await self._opened(argument)
        return seal.call if seal else None

    async def answer(self, activity: str, chain: str, call: str, result: Payloads) -> Json:
        """The result of an activity, if a worker answered this very call.

        Args:
            activity: The activity type.
            chain: The run id of the first execution of the chain that asked.
            call: As the argument says.
            result: As the history has it.

        Raises:
            UnreadableError: it can't be decoded, or nobody here has the key of its seal.
        """
        payload, seal = await self._opened(result)
        namespace = self._client.namespace
        scope = Scope(f"result:{activity}", namespace, self._workflow_id, chain, ANY_EXECUTION, call, NEVER)
        metadata = {name: said for name, said in payload.metadata.items() if name != SEAL_METADATA}
        if not self._is_genuine(seal, scope, metadata, payload.data):
            return None
        return self._client.data_converter.payload_converter.from_payload(payload)

    def state(self, task: dict[str, Any], chain: str) -> dict[str, Any]:
        """What a task takes along of its run, if an execution of it sealed that; else an empty object.

        Raises:
            UnreadableError: nobody here has the key of its seal.
        """
        text = task.get("seal")
        seal = Seal.read(text) if isinstance(text, str) else None
        if seal is None or seal.chain != chain:
            return {}
        scope = seal.scope(STATE, self._client.namespace, self._workflow_id)
        sealed = {name: value for name, value in task.items() if name != "seal"}
        data = canonical_json(sealed, max_depth=STATE_DEPTH)
        return document(task.get("carried")) if self._is_genuine(seal, scope, {}, data) else {}

    async def _opened(self, payloads: Payloads) -> tuple[Payload, Seal | None]:
        try:
            (value,) = await self._client.data_converter.decode(payloads.payloads, [RawValue])
        except Exception as error:
            # Codecs and storages are others' code.
            raise UnreadableError("unreadable_payload", error) from error
        payload: Payload = value.payload
        return payload, Seal.read(payload.metadata.get(SEAL_METADATA, b""))

    def _is_genuine(self, seal: Seal | None, scope: Scope, metadata: dict[str, bytes], data: bytes) -> bool:
        if seal is None:
            return False
        if seal.kid not in self._keys.keys:
            # It may have been believed when it was made.
            raise UnreadableError("unreadable_payload", KeyError(f"no key {seal.kid} of its seal"))
        return self._keys.is_genuine(seal.kid, scope.message(metadata, data), seal.mac)
