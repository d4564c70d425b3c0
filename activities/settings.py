"""The worker's settings: one typed object, read from the environment."""

import os
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentflow import ModelPrice
from agentflow.contracts.rules import Tier
from agentflow.telemetry.logs import LogFormat

PREFIX = "AGENTFLOW_"
_OTHERS = ("AGENTFLOW_APPROVER_KEY",)
"""Variables of the command line."""


class Settings(BaseSettings):
    """Everything that differs from one deployment to the next, as ``AGENTFLOW_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    task_queue: str = "agentflow"
    tier: Tier
    """``dev``, ``staging`` or ``production``. Without it the worker does not start."""
    model: str
    """``provider:model``; the provider's own variable has the key, such as ``ANTHROPIC_API_KEY``."""
    model_base_url: str | None = None
    """For OpenAI-compatible servers: Ollama, vLLM, llama.cpp."""
    model_constrained: bool = False
    """True for models without (good) tool calling of their own."""
    prices: dict[str, ModelPrice] = Field(default_factory=dict[str, ModelPrice])
    """Prices of models that no price list knows, as JSON by ``provider:model``."""
    ledger: SecretStr = SecretStr(".agentflow/ledger.sqlite")
    """Where side effects are recorded: a SQLite file for one machine, ``postgresql://…`` or ``dynamodb://…``
    for several. Its address may hold a password."""
    blobs: str = ".agentflow/blobs"
    """Where transcripts are kept: a directory for one machine, ``s3://BUCKET/PREFIX`` for several."""
    external_storage: str | None = None
    """Where single values go that are too big for history: a directory that all workers and clients share, or
    ``s3://BUCKET/PREFIX``. By default nowhere: they are refused."""
    shop_database: Path = Path(".agentflow/shop.sqlite")
    outbox: Path = Path(".agentflow/outbox.sqlite")
    payments_url: str = "https://api.stripe.com"
    payments_key: SecretStr
    approvers: str = ""
    """Whose signed decisions count: a JWK Set file; or ``trusted``, which takes whoever may signal a run at
    their word. Without it, a worker in production does not start, and others trust."""
    seals: Path | None = None
    """The fleet's keys for seals, a file of ``agentflow seal-keys init`` that only workers can read. Without
    it, a worker in production does not start, and others use a file of their machine's own."""
    requesters: str = ""
    """Whose signed starts count: a JWK Set file. Without it, it is not verified who asks for runs."""
    webhook_url: str = ""
    """Where people are told of approvals and escalations; nobody is by default."""
    webhook_secret: SecretStr = SecretStr("")
    """What the webhook is signed with: ``whsec_`` and base64 of 24 to 64 bytes."""
    log_format: LogFormat = "json"
    log_texts: bool = False
    """Whether reasons, errors and other loggers' messages are logged, through the redactor."""
    spans: Path | None = None
    """A directory of this machine, in which spans wait for the collector that ``OTEL_EXPORTER_OTLP_ENDPOINT``
    names; without it none are recorded."""
    metrics_port: int | None = None
    """Where Prometheus fetches metrics; without it none are recorded."""
    shutdown_grace: timedelta = timedelta(seconds=20)
    """How long activities under way may take to end when the worker is told to stop. ISO 8601: PT20S."""

    @model_validator(mode="after")
    def _spelt(self) -> Self:
        """Refuse a variable that is almost a setting: its default would hold, and ``dev`` is one of them."""
        known = [f"{PREFIX}{name.upper()}" for name in type(self).model_fields]
        for name in os.environ:
            upper = name.upper()
            meant = get_close_matches(upper, known, 1, 0.85) if upper.startswith(PREFIX[:-2]) else []
            if meant and upper not in (*known, *_OTHERS):
                raise ValueError(f"{name} means nothing; {meant[0]} does")
        return self
