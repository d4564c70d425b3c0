"""What must not leave: marks for types, and the redactor of logs and spans."""

from agentflow.contracts.tags import Personal, Secret
from agentflow.core.views import Reach
from agentflow.ports.detectors import Detector, Finding
from agentflow.telemetry.redactor import Redactor

__all__ = ["Detector", "Finding", "Personal", "Reach", "Redactor", "Secret"]
