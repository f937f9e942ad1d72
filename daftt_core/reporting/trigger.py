"""What the trigger said, for whoever tells how a run ended."""

from __future__ import annotations

from pydantic import ValidationError

from daftt_core.errors import StorageError
from daftt_core.reporting.content import Trigger
from daftt_core.stages import TRIGGER
from daftt_core.workspace import read_file

__all__ = ["read_trigger"]


def read_trigger(uri: str) -> Trigger | None:
    """Whether a run trains, and why; None where it has not come that far, or cannot be read.

    Args:
        uri: The run's folder or prefix.
    """
    try:
        text = read_file(uri, TRIGGER, "verdict.json")
        return None if text is None else Trigger.model_validate_json(text)
    except (StorageError, ValidationError):
        return None
