"""What agentflow is tested with, for the tests of your agents: a model with a script, a local server."""

from agentflow.testing.scripted import ScriptedModel, answer, call, calls, fault
from agentflow.testing.settings import TEST_PRICE, scripted_plugin

__all__ = ["TEST_PRICE", "ScriptedModel", "answer", "call", "calls", "fault", "scripted_plugin"]
