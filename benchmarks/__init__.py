"""What the numbers in ``docs/`` come from. Each runs by itself: ``python -m benchmarks.<name> --help``."""
