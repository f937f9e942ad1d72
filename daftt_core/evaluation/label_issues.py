"""Labels of dev and test that the students contradict with confidence.

The rule is that of confident learning (C. Northcutt et al., "Confident learning", JAIR 2021,
section 3.1). A label's threshold is the mean probability that it gets on the examples that carry
it: what "sure" means differs with the label and with the student. An example is suspect where
another label is the most probable one and reaches its own threshold. Probabilities are means over
the seeds of an arm, none of which learned from the examples they are asked about.

cleanlab's filter ``confident_learning`` lists the same for two labels; for more, it also lists
examples whose most probable label misses its threshold while a third one reaches its own.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from daftt_core.evaluation.answers import Answers
from daftt_core.records import Record

LABEL_ISSUES = "label-issues.jsonl"
"""File of the suspect labels, in the folder of the stage ``evaluation``."""

_ROUNDING = 1e-6
"""By so much a mean may miss its threshold: equal numbers do not always have that mean."""


class LabelIssue(Record):
    """A label that may be wrong.

    Attributes:
        split: Where the example is.
        id: Its id. There is no text: what looks at test should not show it.
        given: Its label in the data.
        suggested: The students' label.
        probability: Their mean probability of ``suggested``.
        given_probability: Their mean probability of ``given``.
    """

    split: Literal["dev", "test"]
    id: str
    given: str
    suggested: str
    probability: float
    given_probability: float


def find_label_issues(
    split: Literal["dev", "test"], answers: Answers, arm: str
) -> list[LabelIssue]:
    """Return the examples whose label the students of an arm contradict, the most doubtful first.

    Args:
        split: What the students were asked about.
        answers: Their answers, to a task with one label an input.
        arm: The arm.
    """
    given, probs = answers.gold_indices, answers.probs(arm).mean(axis=0)
    labels = answers.task.label_names
    issues = [
        LabelIssue(
            split=split,
            id=answers.ids[place],
            given=labels[given[place]],
            suggested=labels[suggested],
            probability=round(float(probs[place, suggested]), 6),
            given_probability=round(float(probs[place, given[place]]), 6),
        )
        for place, suggested in _contradicted(given, probs)
    ]
    return sorted(issues, key=lambda issue: (issue.given_probability, issue.id))


def _contradicted(
    given: npt.NDArray[np.int64], probs: npt.NDArray[np.float64]
) -> list[tuple[int, int]]:
    """Return the places of suspect examples, and the label that each should rather have.

    Args:
        given: Label indices, shape [examples].
        probs: Probabilities, shape [examples, labels].
    """
    thresholds = np.array(
        [
            probs[given == label, label].mean() if (given == label).any() else np.inf
            for label in range(probs.shape[1])
        ]
    )
    likeliest = probs.argmax(axis=1)
    sure = probs.max(axis=1) >= thresholds[likeliest] - _ROUNDING
    places = np.flatnonzero(sure & (likeliest != given))
    return [(int(place), int(likeliest[place])) for place in places]
