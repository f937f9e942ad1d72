"""Where a run's registry is."""

from __future__ import annotations

from daftt_core.config import PromotionConfig
from daftt_core.workspace import Run

__all__ = ["REGISTRY", "registry_of"]

REGISTRY = "registry"
"""Its folder beside the runs."""


def registry_of(run: Run, config: PromotionConfig) -> str:
    """The registry that a run's students are promoted to.

    Args:
        run: The run.
        config: Its promotion settings.
    """
    return config.registry or f"{run.uri.rstrip('/').rpartition('/')[0] or '.'}/{REGISTRY}"
