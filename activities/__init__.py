"""Reference tools, one file for each outside system they reach."""
