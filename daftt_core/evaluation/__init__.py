"""How good the students are, how sure that is, and whether confidences can be believed.

scipy, scikit-learn and evaluate are imported where they are used, inside functions: the command
line imports this package only to read a result, and should start at once.
"""

from daftt_core.evaluation.calibration import (
    OPINIONS,
    Abstention,
    Assessment,
    Calibration,
    LabelSetCalibration,
    Opinion,
    ReliabilityBin,
    expected_calibration_error,
    fit_calibration,
    reliability_bins,
)
from daftt_core.evaluation.evaluate import evaluate, read_evaluation
from daftt_core.evaluation.label_issues import LABEL_ISSUES, LabelIssue, find_label_issues
from daftt_core.evaluation.models import (
    GOLD_ARM,
    REAL_ARM,
    ArmResult,
    ClassScores,
    Comparison,
    Evaluation,
    Interval,
    Slice,
    SliceScore,
)
from daftt_core.evaluation.scoring import (
    metrics_for_task,
    score,
    score_all,
    score_examples,
)
from daftt_core.evaluation.slices import MOST_VALUES, SMALL

__all__ = [
    "GOLD_ARM",
    "LABEL_ISSUES",
    "MOST_VALUES",
    "OPINIONS",
    "REAL_ARM",
    "SMALL",
    "Abstention",
    "ArmResult",
    "Assessment",
    "Calibration",
    "ClassScores",
    "Comparison",
    "Evaluation",
    "Interval",
    "LabelIssue",
    "LabelSetCalibration",
    "Opinion",
    "ReliabilityBin",
    "Slice",
    "SliceScore",
    "evaluate",
    "expected_calibration_error",
    "find_label_issues",
    "fit_calibration",
    "metrics_for_task",
    "read_evaluation",
    "reliability_bins",
    "score",
    "score_all",
    "score_examples",
]
