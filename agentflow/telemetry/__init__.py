"""Logs, spans, metrics, and the redactor before them. OpenTelemetry's API: the application has the SDK."""
