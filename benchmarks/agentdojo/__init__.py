"""AgentDojo: agents under prompt injection, their tools and tasks run as agentflow workflows."""
