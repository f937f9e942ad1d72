"""Progress of long work, the resources it uses, and the log of a stage's process."""

from daftt_core.telemetry.progress import (
    LOCAL_LOOP_WIDTH,
    LOG_EVERY_SECONDS,
    LOOP_WIDTH,
    Progress,
    Snapshot,
    duration,
    log,
    stage_process,
    watched_by,
)
from daftt_core.telemetry.usage import (
    Count,
    Meter,
    Usage,
    count_bytes,
    count_tokens,
    cpu_limit,
    include_usage,
    metered,
    use_gpus,
)

__all__ = [
    "LOCAL_LOOP_WIDTH",
    "LOG_EVERY_SECONDS",
    "LOOP_WIDTH",
    "Count",
    "Meter",
    "Progress",
    "Snapshot",
    "Usage",
    "count_bytes",
    "count_tokens",
    "cpu_limit",
    "duration",
    "include_usage",
    "log",
    "metered",
    "stage_process",
    "use_gpus",
    "watched_by",
]
