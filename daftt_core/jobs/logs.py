"""The log of a job's first pod, shown in the step's own log as it grows.

It is requested again at every look at the job, from the time of the last line on, and not followed
over one long connection: a connection that is cut, or that hangs, costs nothing but a moment, and
nothing is lost or shown twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kinds import JobKind
from daftt_core.jobs.kubernetes import RefusedError
from daftt_core.telemetry import log

_STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) ?(.*)", re.S)


def _show(line: str) -> None:
    log.info("| %s", line)


class PodLog:
    """Shows the new lines of one pod after another.

    Args:
        cluster: The cluster.
        kind: The kind of job, which says which pod and container.
        show: Takes each line.
    """

    def __init__(
        self, cluster: Cluster, kind: JobKind, show: Callable[[str], None] = _show
    ) -> None:
        self._cluster, self._kind, self._show = cluster, kind, show
        self._uid = ""
        self._last = ("", "")  # second and fraction of the newest line
        self._zone = "Z"
        self._count = 0  # lines of that very time
        self._warned = False

    def look(self, pods: list[dict[str, Any]]) -> None:
        """Show what the first pod has written since the last look."""
        first = [pod for pod in pods if _has(pod, self._kind.first_pod) and _has_begun(pod)]
        if not first:
            return
        pod = max(first, key=lambda each: each["metadata"].get("creationTimestamp", ""))
        if pod["metadata"]["uid"] != self._uid:
            self._uid, self._last, self._count = pod["metadata"]["uid"], ("", ""), 0
        try:
            self._read(pod["metadata"]["name"])
        except RefusedError as error:  # a log that cannot be read must not fail the job
            if error.status not in (400, 404) and not self._warned:
                self._warned = True
                log.warning("the job's log cannot be shown: %s", error)

    def _read(self, name: str) -> None:
        since = f"{self._last[0]}{self._zone}" if self._last[0] else ""
        at_last = 0
        for line in self._cluster.log_lines(name, self._kind.container, since=since):
            found = _STAMPED.fullmatch(line)
            if found is None:  # cut off within its time
                continue
            time = (found[1], (found[2] or "").ljust(9, "0"))
            if time < self._last:
                continue
            if time == self._last:
                at_last += 1
                if at_last <= self._count:
                    continue
                self._count += 1
            else:
                self._last, self._zone, self._count, at_last = time, found[3], 1, 1
            self._show(found[4])


def last_lines(cluster: Cluster, pod: str, container: str, count: int = 20) -> list[str]:
    """Return the end of a container's log; empty where it cannot be read."""
    try:
        lines = list(cluster.log_lines(pod, container, last=count))
    except RefusedError as error:
        log.debug("the log of %s cannot be read: %s", pod, error)
        return []
    stamped = (_STAMPED.fullmatch(line) for line in lines)
    return [found[4] for found in stamped if found]


def _has(pod: dict[str, Any], labels: dict[str, str]) -> bool:
    own = pod["metadata"].get("labels") or {}
    return all(own.get(name) == value for name, value in labels.items())


def _has_begun(pod: dict[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Running", "Succeeded", "Failed")
