"""Which confidence is enough, for labels that are to be right as often as is asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

__all__ = ["Abstention", "choose_threshold"]


class Abstention(BaseModel):
    """Below which confidence the teacher gives no label.

    Attributes:
        wanted: The precision asked for: the share of given labels that should be right.
        threshold: Least confidence of a given label; None where no threshold reaches it.
        precision: What was reached on dev, each half judged with the threshold chosen on the
            other; None where no label was given.
        coverage: Share of the dev examples that were given a label in the same way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    wanted: float
    threshold: float | None
    precision: float | None
    coverage: float

    def allows(self, confidence: float) -> bool:
        """Whether a label of this confidence is given."""
        return self.threshold is not None and confidence >= self.threshold


def choose_threshold(
    confidence: npt.ArrayLike, right: npt.ArrayLike, half: npt.ArrayLike, wanted: float
) -> Abstention:
    """Choose the threshold that labels most of dev and is right often enough.

    It is the least confidence such that, of the examples at least that confident, the share
    ``wanted`` is right. This is read off dev and so flatters itself a little; what is reported as
    reached was therefore judged crosswise.

    Args:
        confidence: Of each dev example's most probable label, after calibration.
        right: Whether that label is the true one.
        half: 0 or 1 for each example, drawn by seed.
        wanted: The precision asked for, in (0, 1].
    """
    sure, hits, side = np.asarray(confidence), np.asarray(right), np.asarray(half)
    given = np.zeros(len(sure), dtype=bool)
    for part in (0, 1):
        least = _least(sure[side != part], hits[side != part], wanted)
        if least is not None:
            given[side == part] = sure[side == part] >= least
    return Abstention(
        wanted=wanted,
        threshold=_least(sure, hits, wanted),
        precision=float(hits[given].mean()) if given.any() else None,
        coverage=float(given.mean()) if len(given) else 0.0,
    )


def _least(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], wanted: float
) -> float | None:
    order = np.argsort(-confidence, kind="stable")
    ranked, hits = confidence[order], right[order]
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    # equally confident examples are given a label together or not at all
    last = np.append(ranked[1:] < ranked[:-1], True)[: len(ranked)]
    reached = np.flatnonzero(last & (precision >= wanted))
    return float(ranked[reached[-1]]) if len(reached) else None
