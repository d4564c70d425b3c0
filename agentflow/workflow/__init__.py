"""The deterministic side: ``AgentWorkflow``, and the one place that schedules activities."""
