"""What the test agents have in common."""

from datetime import timedelta

from agentflow import ModelOptions, Release, RetryOptions
from agentflow.contracts.loops import LoopLimits

QUICK = ModelOptions(
    max_output_tokens=200,
    retry=RetryOptions(
        max_attempts=3, initial_interval=timedelta(milliseconds=10), max_interval=timedelta(milliseconds=20)
    ),
)
ENDLESS = LoopLimits(same_call=None, failures_in_a_row=None, turns_without_progress=None)
SHORT = timedelta(seconds=2)
"""A worker that is silent this long is dead, in tests that kill one."""
PROVEN = Release(version="1", proven_models=("scripted:model",))
