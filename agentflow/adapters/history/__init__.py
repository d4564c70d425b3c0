"""Reads what a run did from Temporal's history alone: no worker is asked."""
