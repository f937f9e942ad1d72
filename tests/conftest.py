"""Settings for all tests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Before torch is loaded, for this process and those it starts: threads that wait in a loop hold up
# other processes where tests share few cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says more about how busy the machine is than about the code.
settings.register_profile("daftt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("daftt")


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """A component called as a function turns the log on; the next test finds it as it was."""
    log = logging.getLogger("daftt")
    before = log.level
    yield
    log.setLevel(before)
