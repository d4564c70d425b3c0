"""Production AI agents as Temporal workflows: constrained, measured, replayable, provable."""

from agentflow.activity.context import ToolContext
from agentflow.activity.manifest import ModelRegistry
from agentflow.activity.running import run_blocking
from agentflow.activity.tool import DidNotHappen, Happened, Tool, tool, tools_of
from agentflow.client import AgentClient
from agentflow.contracts.approval import ApprovalDecision, ApprovalOutcome, ApprovalRequest
from agentflow.contracts.budget import Budget, Spend
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.manifest import Release
from agentflow.contracts.model import ModelOptions, ModelPrice
from agentflow.contracts.outcome import AgentOutcome, Evidence
from agentflow.contracts.task import AgentTask
from agentflow.contracts.tools import RetryOptions, ToolOptions, ToolResult
from agentflow.core.ready_rules import sinks_from_trusted_input
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Rule, RuleSet, allow, ask, deny
from agentflow.errors import AgentflowError, EffectUnknownError, RunDenied, ToolError, ToolUnavailableError
from agentflow.plugin import AgentflowPlugin
from agentflow.workflow.agent import AgentWorkflow

__all__ = [
    "AgentClient",
    "AgentOutcome",
    "AgentTask",
    "AgentWorkflow",
    "AgentflowError",
    "AgentflowPlugin",
    "ApprovalDecision",
    "ApprovalOutcome",
    "ApprovalRequest",
    "Budget",
    "DidNotHappen",
    "EffectUnknownError",
    "Evidence",
    "Happened",
    "ModelOptions",
    "ModelPrice",
    "ModelRegistry",
    "Release",
    "Resolution",
    "RetryOptions",
    "Rule",
    "RuleContext",
    "RuleSet",
    "RunDenied",
    "Spend",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolOptions",
    "ToolResult",
    "ToolUnavailableError",
    "allow",
    "ask",
    "deny",
    "run_blocking",
    "sinks_from_trusted_input",
    "tool",
    "tools_of",
]
