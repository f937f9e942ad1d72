"""A process's place among those that train together.

This face knows no torch; :mod:`daftt_core.distributed.group` does.
"""

from daftt_core.distributed.ranks import Rank, this_rank

__all__ = [
    "Rank",
    "this_rank",
]
