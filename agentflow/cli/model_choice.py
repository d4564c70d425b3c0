"""Which model ``dev`` and ``demo`` run: the one asked for, one whose key is there, or the bundled one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentflow.errors import ConfigurationError

BUNDLED = "openai:smollm2-135m"
"""Name of the bundled model: an OpenAI-compatible server on this machine serves it."""

KEYS = {
    "ANTHROPIC_API_KEY": "anthropic:claude-haiku-4-5",
    "OPENAI_API_KEY": "openai:gpt-5-mini",
    "GEMINI_API_KEY": "google:gemini-2.5-flash",
}
"""A provider's key, and the model that is used when it is set and no other is named."""

LOCAL_PRICE = '{"input_usd_per_mtok": "0.01", "output_usd_per_mtok": "0.05"}'
"""A local model is priced by configuration: about what two cores' electricity comes to."""


@dataclass(frozen=True)
class ModelChoice:
    """A model by name, and where it is served if that is on this machine."""

    name: str
    gguf: Path | None = None
    """Served locally, if set."""
    bundled: bool = False

    @property
    def is_local(self) -> bool:
        """Whether this machine serves it."""
        return self.bundled or self.gguf is not None


def choose_model(asked: str | None, environ: Mapping[str, str]) -> ModelChoice:
    """The model to run.

    Args:
        asked: ``provider:model``, or the path of a GGUF file.
        environ: Where keys are looked for when nothing was asked.

    Raises:
        ConfigurationError: neither a model's name nor a file.
    """
    if asked and asked.endswith(".gguf"):
        path = Path(asked).expanduser()
        if not path.is_file():
            raise ConfigurationError(f"no GGUF file at {path}")
        return ModelChoice(f"openai:{path.stem}", gguf=path)
    if asked:
        if ":" not in asked:
            raise ConfigurationError(
                f"--model takes provider:model or the path of a .gguf file, not {asked!r}"
            )
        return ModelChoice(asked)
    for key, model in KEYS.items():
        if environ.get(key):
            return ModelChoice(model)
    return ModelChoice(BUNDLED, bundled=True)
