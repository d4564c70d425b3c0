"""Proves runs later: bundles that hold what was asked, decided, allowed and done, and by whom."""
