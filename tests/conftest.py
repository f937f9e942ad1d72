"""Settings for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says more about how busy the machine is than about the code.
settings.register_profile("daftt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("daftt")
