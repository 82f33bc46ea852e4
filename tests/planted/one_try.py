"""A pytest plugin for a run that should fail: hypothesis looks for one example and does not make it smaller."""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "planted",
    phases=[Phase.explicit, Phase.generate],
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("planted")
