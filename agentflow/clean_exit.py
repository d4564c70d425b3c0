"""Placeholder until the exit fix lands."""


def ensure_clean_exit() -> None:
    """Nothing yet."""
