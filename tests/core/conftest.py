"""Hypothesis as these tests want it: no timing assertions, and nothing kept between runs."""

from hypothesis import settings

settings.register_profile("agentflow", deadline=None, max_examples=60, database=None, print_blob=True)
settings.load_profile("agentflow")
