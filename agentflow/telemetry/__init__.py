"""Logs, spans and their names. The OpenTelemetry API only: the application chooses the SDK."""
