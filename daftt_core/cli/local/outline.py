"""How far a run is among its stages, and how long it may still take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from daftt_core.cli.local.time_left import TimeLeft, time_left_of
from daftt_core.config import Config
from daftt_core.errors import DafttError
from daftt_core.stages import MIXTURE, PROMOTION, STAGES, place_of
from daftt_core.telemetry import duration, log
from daftt_core.workspace import Run
from daftt_core.workspace.status import StageStatus

T = TypeVar("T")


class Outline:
    """The places of a run's stages, and the one that it has reached.

    Stages in one place run side by side (:func:`daftt_core.stages.place_of`).

    Args:
        config: The run's settings.
        time_left: Tells how long it may still take; None where that is not to be known.
    """

    def __init__(self, config: Config, time_left: TimeLeft | None = None) -> None:
        left_out = [MIXTURE.name] * (config.mixture.tasks == 0)
        left_out += [PROMOTION.name] * (not config.promotion.enabled)
        names = [stage.name for stage in STAGES if stage.name not in left_out]
        self._places = sorted(set(map(place_of, names)))
        self._place = self._places[0]
        self._time_left = time_left

    def note(self, status: StageStatus) -> None:
        """Take note of a stage's status; it may be the same as before."""
        place = place_of(status.stage)
        if self._place < place <= self._places[-1]:
            self._place = place
        self._ask(lambda time_left: time_left.note(status))

    @property
    def position(self) -> str:
        """Return the place that the run has reached, such as ``stage 5 of 12``."""
        number = sum(place <= self._place for place in self._places)
        return f"stage {number} of {len(self._places)}"

    def __str__(self) -> str:
        seconds = self._ask(lambda time_left: time_left.seconds)
        if seconds is None:
            return self.position
        return f"{self.position}, {_roughly(seconds)} left in all"

    def _ask(self, question: Callable[[TimeLeft], T]) -> T | None:
        if self._time_left is None:
            return None
        try:
            return question(self._time_left)
        except Exception as error:  # whatever it is: an estimate must not end a run
            log.debug("the time left is not told: %s", error)
            return None


def _roughly(seconds: float) -> str:
    """Return a time in words, as exact as an estimate can be."""
    if seconds < 60:
        return "under 1 min"
    limits = {300: 30, 3600: 60, math.inf: 300}
    step = next(step for limit, step in limits.items() if seconds < limit)
    return "about " + duration(step * round(seconds / step)).removesuffix(" 0 s")


def outline_of(config: Config, run: Run, earlier: Run | None) -> Outline:
    """Return the outline of a run, with the time left if that can be told.

    Args:
        config: The run's settings.
        run: The run.
        earlier: A finished run of the same task on this machine, if there is one.
    """
    try:
        return Outline(config, time_left_of(config, run, earlier))
    except DafttError as error:
        log.debug("no times of an earlier run: %s", error)
        return Outline(config)
