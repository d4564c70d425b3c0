"""Pure functions on contracts: what a run decides. No I/O, clock or temporalio."""
