"""Memory and disk that a run will take, worked out before it is started."""

from daftt_core.planning.fit import find_gpu
from daftt_core.planning.forecast import Choice, Plan, make_plan
from daftt_core.planning.settings import check_teacher_fits, disk_bytes

__all__ = [
    "Choice",
    "Plan",
    "check_teacher_fits",
    "disk_bytes",
    "find_gpu",
    "make_plan",
]
