"""Which process telemetry is from."""

from collections.abc import Mapping
from typing import Any


def resource_of(service: str, more: Mapping[str, str] | None) -> Any:
    """The SDK's ``Resource``: what the environment says goes before what the code says."""
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource

    ours = Resource({SERVICE_NAME: service, **(more or {})}).merge(OTELResourceDetector().detect())
    return Resource.create().merge(ours)
