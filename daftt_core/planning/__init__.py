"""Memory, disk and time that a run will take, worked out before it is started."""

from daftt_core.planning.fit import find_gpu
from daftt_core.planning.forecast import Choice, Plan, make_plan
from daftt_core.planning.settings import (
    check_teacher_fits,
    disk_bytes,
    model_shape,
    student_shape,
)
from daftt_core.planning.times import (
    Pace,
    StageTime,
    TimePlan,
    plan_times,
    side_by_side,
    typical_pace,
)
from daftt_core.planning.work import Lengths, measure_lengths, with_counts

__all__ = [
    "Choice",
    "Lengths",
    "Pace",
    "Plan",
    "StageTime",
    "TimePlan",
    "check_teacher_fits",
    "disk_bytes",
    "find_gpu",
    "make_plan",
    "measure_lengths",
    "model_shape",
    "plan_times",
    "side_by_side",
    "student_shape",
    "typical_pace",
    "with_counts",
]
