"""How a model's answer ended: only one that is finished is an answer.

The words that mean finished are a closed list for each provider. Any other, one that nobody knows and none at
all included, says that something is missing: half a sentence, a call without the ones that should follow.
"""

from collections.abc import Mapping

from agentflow.contracts.messages import AssistantMessage

CUT_OFF = "length"
"""The answer reached the longest length allowed, or the end of the model's context."""
MISSING = "missing"
"""The provider gave no word."""

WORDS = frozenset({"stop", "tool_call", "tool_calls"})
"""For finished, as pydantic-ai, OpenTelemetry and OpenAI have them."""
_CALLS = frozenset({"tool_call", "tool_calls", "tool_use", "function_call", "TOOL_CALL"})
"""Those that say that calls are wanted."""
_CHAT = frozenset({"stop", "tool_calls", "function_call"})
"""OpenAI's chat completions, and whatever imitates them: llama.cpp, vLLM, Ollama."""
_RESPONSES = frozenset({"completed"})
_GOOGLE = frozenset({"STOP"})
_ANTHROPIC = frozenset({"end_turn", "stop_sequence", "tool_use"})

# Read in pydantic-ai 2.68 and the SDKs' enumerations: what each provider itself says.
_FINISHED: Mapping[str, frozenset[str]] = {
    "anthropic": _ANTHROPIC,
    "bedrock": _ANTHROPIC,
    "openai": _CHAT | _RESPONSES,
    "openai-chat": _CHAT,
    "openai-responses": _RESPONSES,
    "azure": _CHAT,
    "azure-responses": _RESPONSES,
    "google": _GOOGLE,
    "google-cloud": _GOOGLE,
    "google-gla": _GOOGLE,
    "google-vertex": _GOOGLE,
    "mistral": frozenset({"stop", "tool_calls"}),
    "groq": _CHAT,
    "cohere": frozenset({"COMPLETE", "STOP_SEQUENCE", "TOOL_CALL"}),
    "huggingface": frozenset({"stop", "eos_token", "stop_sequence", "tool_calls"}),
}


def words_of(provider: str) -> frozenset[str]:
    """The provider's own words for a finished answer; those of chat completions for one not listed."""
    return _FINISHED.get(provider, _CHAT)


def unfinished(model: str, reason: str, message: AssistantMessage) -> str | None:
    """Why an answer is not finished, in the provider's word; ``None`` if it is.

    Args:
        model: ``provider:model``.
        reason: The word it ended with.
        message: The answer.
    """
    if reason not in WORDS | words_of(model.partition(":")[0]):
        return reason or MISSING
    if reason in _CALLS and not message.tool_calls:
        return f"{reason} without a tool call"
    return None
