"""How far a run is among its stages, and how long it may still take.

What is left is told by an earlier run of the same task in the same folder, where there is one: the
time on the clock that each of its places took. Stages in one place run side by side
(:func:`daftt_core.stages.place_of`).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping

from daftt_core.config import Config
from daftt_core.errors import DafttError
from daftt_core.stages import MIXTURE, PROMOTION, REPORT, STAGES, place_of, stage_of
from daftt_core.telemetry import duration, log
from daftt_core.workspace import Run, finished_stages, stage_manifest


class Outline:
    """The places of a run's stages, and the one that it has reached.

    Args:
        config: The run's settings.
        expected_seconds: The time that each place may take; empty where nobody knows.
    """

    def __init__(self, config: Config, expected_seconds: Mapping[int, float]) -> None:
        left_out = [MIXTURE.name] * (config.mixture.tasks == 0)
        left_out += [PROMOTION.name] * (not config.promotion.enabled)
        names = [stage.name for stage in STAGES if stage.name not in left_out]
        self._places = sorted(set(map(place_of, names)))
        self._expected = expected_seconds
        self._place = self._places[0]
        self._entered = time.monotonic()

    def reach(self, stage: str) -> None:
        """Note that a stage has started."""
        place = place_of(stage)
        if self._place < place <= self._places[-1]:
            self._place, self._entered = place, time.monotonic()

    @property
    def position(self) -> str:
        """Return the place that the run has reached, such as ``stage 5 of 12``."""
        number = sum(place <= self._place for place in self._places)
        return f"stage {number} of {len(self._places)}"

    def __str__(self) -> str:
        if not self._expected:
            return self.position
        later = sum(self._expected.get(place, 0.0) for place in self._places if place > self._place)
        here = self._expected.get(self._place, 0.0) - (time.monotonic() - self._entered)
        return f"{self.position}, about {duration(later + max(0.0, here))} left in all"


def seconds_by_place(run: Run) -> dict[int, float]:
    """Return the time on the clock that each place of a finished run took.

    It is the time since the place before it was finished, and no more than its stages worked: a run
    may have been resumed days later.

    Raises:
        StorageError: A manifest cannot be read.
    """
    ends: defaultdict[int, list[float]] = defaultdict(list)
    work: defaultdict[int, float] = defaultdict(float)
    for name, committed in finished_stages(run).items():
        stage = stage_of(name)
        manifest = stage_manifest(run, name)
        if manifest and stage and (stage is REPORT or not stage.about_results):
            ends[place_of(name)].append(committed)
            work[place_of(name)] += manifest.seconds
    seconds, before = {}, float("-inf")
    for place in sorted(ends):
        seconds[place] = min(work[place], max(0.0, max(ends[place]) - before))
        before = max(before, *ends[place])
    return seconds


def outline_of(config: Config, earlier: Run | None) -> Outline:
    """Return the outline of a run, with the times of an earlier one if they can be read."""
    try:
        return Outline(config, seconds_by_place(earlier) if earlier else {})
    except DafttError as error:
        log.debug("no times of an earlier run: %s", error)
        return Outline(config, {})
