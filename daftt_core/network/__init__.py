"""Calls to remotes: allowed addresses, one deadline over a whole call, retries with pauses."""

from daftt_core.network.addresses import address_problem, is_metadata_service
from daftt_core.network.http import DeadlineAdapter, MetadataServiceError, guard
from daftt_core.network.json_api import JsonApi
from daftt_core.network.retry import Retry, TransientError, pause_asked_for, within

__all__ = [
    "DeadlineAdapter",
    "JsonApi",
    "MetadataServiceError",
    "Retry",
    "TransientError",
    "address_problem",
    "guard",
    "is_metadata_service",
    "pause_asked_for",
    "within",
]
