"""What a run will need and cost, worked out before it is started."""

from daftt_core.costs.machines import find_gpu
from daftt_core.costs.plan import Choice, Plan, make_plan
from daftt_core.costs.settings import check_teacher_fits
from daftt_core.costs.throughput import Assumptions

__all__ = [
    "Assumptions",
    "Choice",
    "Plan",
    "check_teacher_fits",
    "find_gpu",
    "make_plan",
]
