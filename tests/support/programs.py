"""Programs that some tests need beside Python packages."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing_program(reason: str) -> NoReturn:
    """Skip the test, or fail it where all programs must be there.

    Args:
        reason: What is missing, and how it is installed.
    """
    if os.environ.get("DAFTT_TEST_PROGRAMS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)
