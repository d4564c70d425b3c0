"""Hypothesis as these tests want it: nothing kept between runs, and no test fails for a slow machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "agentflow",
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    print_blob=True,
)
settings.load_profile("agentflow")
