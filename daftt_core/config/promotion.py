"""Settings of promotion: what a student must show before it becomes its task's champion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from daftt_core.config.section import Section

__all__ = ["PromotionConfig"]


class PromotionConfig(Section):
    """When the run's best student becomes the task's champion."""

    enabled: bool = Field(
        default=True,
        description="Compare the run's student with the task's champion at the end, and let it "
        "take that place where it is proven better.",
    )
    registry: str = Field(
        default="",
        description="Folder or storage prefix of the champions. Empty: the folder 'registry' "
        "beside the run, under output.",
    )
    rule: Literal["superiority", "non-inferiority"] = Field(
        default="superiority",
        description="What the interval of the gain over the champion must show: that it lies above "
        "margin (superiority), or above minus margin (non-inferiority).",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Points of the primary metric; non-inferiority needs some above 0.",
    )
    floors: str = Field(
        default="",
        description="Scores that the student must reach on test whatever the champion has, such as "
        "accuracy=0.8,macro_f1=0.75.",
    )
    slice_drop: float = Field(
        default=5.0,
        ge=0,
        le=100,
        description="Points that the student may be below the champion, at most, on the test "
        "examples of one class, one third by length, or one value of data_slice_column, where a "
        "fall is shown.",
    )
    slice_min_examples: int = Field(
        default=30,
        ge=1,
        le=1_000_000_000,
        description="Slices of fewer test examples are shown and not judged.",
    )

    @model_validator(mode="after")
    def _check(self) -> PromotionConfig:
        self.floor_values()
        if self.rule == "non-inferiority" and self.margin == 0:
            raise ValueError("rule non-inferiority needs a margin above 0")
        return self

    def floor_values(self) -> dict[str, float]:
        """``floors``, read: the least score by metric.

        Raises:
            ValueError: It is not a list of metric=score.
        """
        found: dict[str, float] = {}
        for item in filter(None, (part.strip() for part in self.floors.split(","))):
            metric, _, text = (part.strip() for part in item.partition("="))
            try:
                found[metric] = float(text)
            except ValueError:
                raise ValueError(f"floors: {item!r} must be metric=score") from None
            if not -1 <= found[metric] <= 1:
                raise ValueError(f"floors: {item!r}: a score lies between -1 and 1, such as 0.8")
        return found
