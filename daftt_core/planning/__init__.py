"""Memory, hours and disk that a run will take, worked out before it is started."""

from daftt_core.planning.forecast import Choice, Plan, make_plan
from daftt_core.planning.machines import Assumptions, find_gpu
from daftt_core.planning.settings import check_teacher_fits, disk_bytes

__all__ = [
    "Assumptions",
    "Choice",
    "Plan",
    "check_teacher_fits",
    "disk_bytes",
    "find_gpu",
    "make_plan",
]
