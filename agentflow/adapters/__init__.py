"""One file for each outside system, each behind one extra. Nothing here is imported by the core."""
