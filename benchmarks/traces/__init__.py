"""Whether every run has its whole trace, whatever is killed: ``python -m benchmarks.traces``."""
