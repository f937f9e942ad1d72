"""Calls to remotes: allowed addresses, one deadline over a whole call, retries with pauses."""

from daftt_core.network.addresses import address_problem, is_metadata_service
from daftt_core.network.http import DeadlineAdapter, MetadataServiceError, guard
from daftt_core.network.retry import growing_pauses, pause_asked_for, within

__all__ = [
    "DeadlineAdapter",
    "MetadataServiceError",
    "address_problem",
    "growing_pauses",
    "guard",
    "is_metadata_service",
    "pause_asked_for",
    "within",
]
