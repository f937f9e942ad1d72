"""Settings of the trigger: when a run that is repeated trains at all."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from daftt_core.config.section import Section

__all__ = ["TriggerConfig"]


class TriggerConfig(Section):
    """When a run trains, rather than ending at once because there is no reason to."""

    when: Literal["always", "new-data", "drift"] = Field(
        default="always",
        description="always; new-data: when there are enough labelled rows that the champion has "
        "not seen; drift: then, or when inputs or the balance of labels have changed. The "
        "first run trains in any case.",
    )
    min_new_labels: int = Field(
        default=50,
        ge=1,
        le=1_000_000_000,
        description="New rows of data_train that are a reason to train, at least.",
    )
    min_new_share: float = Field(
        default=0.1,
        ge=0,
        le=1000,
        description="And at least this share of the rows of data_train that the champion's run "
        "had.",
    )
    alpha: float = Field(
        default=0.01,
        ge=0.0001,
        le=0.2,
        description="Share of runs, at most, in which drift is found though there is none: its "
        "two tests together (Holm), on rows that rarely repeat each other.",
    )
