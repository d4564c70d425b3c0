"""Tools whose contracts are from elsewhere: what an agent's module and its worker need of them."""

from agentflow.adapters.environment_secrets import EnvironmentSecrets
from agentflow.adapters.mcp_server import McpServer
from agentflow.adapters.openapi_files import parse_openapi, read_openapi
from agentflow.adapters.openapi_service import OpenApiService
from agentflow.core.imported import ImportedTool

__all__ = [
    "EnvironmentSecrets",
    "ImportedTool",
    "McpServer",
    "OpenApiService",
    "parse_openapi",
    "read_openapi",
]
