"""A process's place among those that train together, and the work they do together."""

from daftt_core.distributed.group import Group, Rank, run_stage_together, this_rank

__all__ = ["Group", "Rank", "run_stage_together", "this_rank"]
