"""What agentflow is tested with, for the tests of your agents: a model with a script, faults at will."""

from agentflow.testing.faults import FAULT_POINTS, Fault, FaultPlan, FaultPoint, Kill, Raise, Stall
from agentflow.testing.memory_ledger import MemoryLedger
from agentflow.testing.scripted import ScriptedModel, answer, call, calls, fault
from agentflow.testing.settings import TEST_PRICE, scripted_plugin

__all__ = [
    "FAULT_POINTS",
    "TEST_PRICE",
    "Fault",
    "FaultPlan",
    "FaultPoint",
    "Kill",
    "MemoryLedger",
    "Raise",
    "ScriptedModel",
    "Stall",
    "answer",
    "call",
    "calls",
    "fault",
    "scripted_plugin",
]
