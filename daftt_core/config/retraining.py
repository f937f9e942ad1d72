"""Settings of recurring runs: when there is a reason to train, and what may become the champion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from daftt_core.config.section import Positive, Section
from daftt_core.network import address_problem


class TriggerConfig(Section):
    """When a run trains, rather than ending at once because there is no reason to."""

    when: Literal["always", "new-data", "drift"] = "always"
    """always; new-data: when there are enough labelled rows that the champion has not seen;
    drift: then, or when inputs or the balance of labels have changed. The first run trains in
    any case."""
    min_new_labels: Positive = 50
    """New rows of data_train that are a reason to train, at least."""
    min_new_share: float = Field(default=0.1, ge=0, le=1000)
    """And at least this share of the rows of data_train that the champion's run had."""
    alpha: float = Field(default=0.01, ge=0.0001, le=0.2)
    """Share of runs, at most, in which drift is found though there is none: its two tests
    together (Holm), on rows that rarely repeat each other."""


class PromotionConfig(Section):
    """When the run's best student becomes the task's champion."""

    enabled: bool = True
    """Compare the run's student with the task's champion at the end, and let it take that place
    where it is proven better."""
    registry: str = ""
    """Folder or storage prefix of the champions. Empty: the folder 'registry' beside the run,
    under output."""
    rule: Literal["superiority", "non-inferiority"] = "superiority"
    """What the interval of the gain over the champion must show: that it lies above margin
    (superiority), or above minus margin (non-inferiority)."""
    margin: float = Field(default=0.0, ge=0, le=100)
    """Points of the primary metric; non-inferiority needs some above 0."""
    floors: str = ""
    """Scores that the student must reach on test whatever the champion has, such as
    accuracy=0.8,macro_f1=0.75."""
    slice_drop: float = Field(default=5.0, ge=0, le=100)
    """Points that the student may be below the champion, at most, on the test examples of one
    class, one third by length, or one value of data_slice_column, where a fall is shown."""
    slice_min_examples: Positive = 30
    """Slices of fewer test examples are shown and not judged."""

    model_registry: str = ""
    """Address of Kubeflow's Model Registry, with scheme and port, where a promoted version is
    registered, too. Empty: it is not."""

    @model_validator(mode="after")
    def _check(self) -> PromotionConfig:
        self.floor_values()
        if self.model_registry and (problem := address_problem(self.model_registry)):
            raise ValueError(f"model_registry {problem}")
        if self.rule == "non-inferiority" and self.margin == 0:
            raise ValueError("rule non-inferiority needs a margin above 0")
        return self

    def floor_values(self) -> dict[str, float]:
        """Return ``floors`` as the least score by metric.

        Raises:
            ValueError: It is not a list of metric=score.
        """
        scores: dict[str, float] = {}
        for item in filter(None, (part.strip() for part in self.floors.split(","))):
            metric, _, text = (part.strip() for part in item.partition("="))
            try:
                scores[metric] = float(text)
            except ValueError:
                raise ValueError(f"floors: {item!r} must be metric=score") from None
            if not -1 <= scores[metric] <= 1:
                raise ValueError(f"floors: {item!r}: a score lies between -1 and 1, such as 0.8")
        return scores
