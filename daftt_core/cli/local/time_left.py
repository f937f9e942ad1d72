"""How long a run on this machine may still take.

An earlier run of the same task in the same folder tells it, where there is one. Otherwise the run
is planned (:mod:`daftt_core.planning`) at a typical pace, and what its stages have taken so far
says how many times as long this machine takes. That is for labels on a CPU; of other runs nothing
is told.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Container, Mapping
from itertools import islice
from typing import Protocol

from daftt_core.cli.local.warm import is_worthwhile
from daftt_core.config import Config
from daftt_core.planning import (
    StageTime,
    measure_lengths,
    model_shape,
    plan_times,
    side_by_side,
    student_shape,
    typical_pace,
    with_counts,
)
from daftt_core.records import Example, iterate_jsonl
from daftt_core.stages import (
    ASSESSMENT,
    DATA,
    PREDICTIONS,
    REPORT,
    STUDENTS,
    SYNTHETIC,
    TEACHER,
    baseline_arms,
    place_of,
    shard_of,
    stage_of,
)
from daftt_core.telemetry import LOCAL_LOOP_WIDTH, Snapshot
from daftt_core.workspace import Run, finished_stages, is_remote, read_result, stage_manifest
from daftt_core.workspace.status import StageStatus

_SAMPLE = 200  # examples of each part of the data; their lengths stand for those of all
_SOURCES = {"annotation": "annotated", "generation": "generated"}  # as shards are named
_ALIKE = ((TEACHER,), (ASSESSMENT, SYNTHETIC), (STUDENTS, PREDICTIONS))
"""Stages of one kind of work: how fast some of them are says most about the others."""
_ENOUGH_SECONDS = 30.0  # of measured work, before which it tells nothing
_RECENT_SECONDS = 60.0  # of the latest of it, which count: the machine may be busier than before


class TimeLeft(Protocol):
    """Tells how long a run may still take."""

    def note(self, status: StageStatus) -> None:
        """Take note of a stage's status; it may be the same as before."""

    @property
    def seconds(self) -> float | None:
        """Return the time left; None while it cannot be told."""


class AsBefore:
    """Tells the time left by what an earlier run took.

    Args:
        expected: The time on the clock that each of its places took, in seconds.
    """

    def __init__(self, expected: Mapping[int, float]) -> None:
        self._expected = expected
        self._place, self._entered = 0, time.time()

    def note(self, status: StageStatus) -> None:
        """Note the place that the run has reached."""
        place = place_of(status.stage)
        if self._place < place <= place_of(REPORT.name):
            self._place, self._entered = place, time.time()

    @property
    def seconds(self) -> float | None:
        """Return what the earlier run took from this place on, less the time spent in it."""
        later = sum(seconds for place, seconds in self._expected.items() if place > self._place)
        here = self._expected.get(self._place, 0.0) - (time.time() - self._entered)
        return later + max(0.0, here)


class AsPlanned:
    """Tells the time left of a first run by its plan, and by how its stages keep to it.

    Args:
        config: The run's settings.
        run: The run.
    """

    def __init__(self, config: Config, run: Run) -> None:
        self._config, self._run = config, run
        self._plan: dict[str, StageTime] = {}
        self._stages: dict[str, _Progress] = {}

    def note(self, status: StageStatus) -> None:
        """Note how far a stage is, and what it took in the end.

        Raises:
            DafttError: What a finished stage has left cannot be read, or the run not be planned.
        """
        stage = self._stages.setdefault(status.stage, _Progress(status.updated))
        stage.note(status)
        if status.state == "done" and stage.took is None:
            manifest = stage_manifest(self._run, status.stage)
            stage.took = manifest.seconds if manifest else 0.0
            if status.stage == DATA.name:
                self._plan = _planned_stages(self._config, self._run)

    @property
    def seconds(self) -> float | None:
        """Return the time left; None until enough of the work has been measured."""
        usual = self._slowness(self._plan)
        if usual is None:
            return None
        left: defaultdict[int, list[float]] = defaultdict(list)
        for alike in _ALIKE:
            folders = [folder for folder in self._plan if stage_of(folder) in alike]
            slowness = self._slowness(folders) or usual
            for folder in folders:
                seconds = slowness * self._plan[folder].seconds
                stage = self._stages.get(folder)
                left[place_of(folder)].append(stage.left_of(seconds) if stage else seconds)
        return sum(side_by_side(each, _width(place)) for place, each in left.items())

    def _slowness(self, folders: Container[str]) -> float | None:
        """Return how many times as long as planned the latest work of some stages has taken."""
        took = planned = 0.0
        for folder in reversed(self._stages):
            if folder in folders and took < _RECENT_SECONDS:
                seconds, as_planned = self._stages[folder].compare(self._plan[folder])
                took, planned = took + seconds, planned + as_planned
        return took / planned if took >= _ENOUGH_SECONDS and planned else None


class _Progress:
    """How far a stage is.

    A stage may do several works one after the other, such as training and answering. How fast it is
    shows in the first of them while it runs, and in all of it at its end.

    Args:
        started: When it started, in seconds since the epoch.

    Attributes:
        took: Its seconds, once it has ended.
    """

    def __init__(self, started: float) -> None:
        self.took: float | None = None
        self._started = started
        self._first: Snapshot | None = None
        self._latest: Snapshot | None = None
        self._measured: list[tuple[float, int]] = []  # when how many units of the first were done

    def note(self, status: StageStatus) -> None:
        """Note its latest snapshot."""
        if status.progress is None:
            return
        self._latest = status.progress
        self._first = self._first or self._latest
        if self._latest.what == self._first.what and self._latest.done > self._first.done:
            self._measured[1:] = [(status.updated, self._latest.done)]  # keeps the first of them

    def compare(self, planned: StageTime) -> tuple[float, float]:
        """Return the seconds that measured work took, and those that were planned for it."""
        if self.took is not None:
            return self.took, planned.seconds
        if not self._measured:
            return 0.0, 0.0
        (since, before), (now, done) = self._measured[0], self._measured[-1]
        return now - since, (done - before) * planned.unit

    def left_of(self, seconds: float) -> float:
        """Return what is left of so many seconds for all of it."""
        if self.took is not None:
            return 0.0
        if self._first and self._first.total:  # an earlier attempt may have done a part
            seconds *= 1 - self._first.done / self._first.total
        left_of_work = (self._latest and self._latest.seconds_left) or 0.0
        return max(seconds - (time.time() - self._started), left_of_work)


def _planned_stages(config: Config, run: Run) -> dict[str, StageTime]:
    """Plan the stages of a run that run a model, by their folders, when its data is there."""
    data = read_result(run, DATA)
    if data is None:
        return {}
    config = with_counts(config, data.sizes)
    files = (run.folder / DATA.name / f"{name}.jsonl" for name in ("labelled", "unlabelled"))
    samples = (islice(iterate_jsonl(file, Example), _SAMPLE) for file in files)
    examples = [example for sample in samples for example in sample]
    teacher = model_shape("teacher", config.teacher.model)
    student = student_shape(config, run.task)
    lengths = measure_lengths(config, run.task, teacher, student, examples)
    baseline = baseline_arms(config.student.gold_arm, gold_is_known=data.gold_is_known)
    pace = typical_pace(teacher, student)
    plan = plan_times(
        config, run.task, teacher, student, baseline, lengths, pace, copies=is_worthwhile()
    )
    return {folder: stage for stage in plan.stages for folder in _folders(stage)}


def _folders(stage: StageTime) -> list[str]:
    if source := _SOURCES.get(stage.name):
        shards = stage.processes
        return [shard_of(source, shard, shards).name for shard in range(shards)]
    return [stage.name]


def _width(place: int) -> int:
    """Return how many stages of a place run side by side."""
    loops = map(place_of, (SYNTHETIC.name, STUDENTS.name))
    return LOCAL_LOOP_WIDTH if place in loops else 1


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


def time_left_of(config: Config, run: Run, earlier: Run | None) -> TimeLeft | None:
    """Return what tells how long a run may take; None where nothing does.

    Args:
        config: The run's settings.
        run: The run.
        earlier: A finished run of the same task on this machine, if there is one.

    Raises:
        StorageError: What the earlier run has left cannot be read.
    """
    if earlier is not None and (expected := seconds_by_place(earlier)):
        return AsBefore(expected)
    can_be_planned = (
        is_worthwhile()  # no GPU
        and not is_remote(run)
        and run.task.is_classification
        and config.synthesis.engine == "local"
        and config.job.launcher == "local"
    )
    return AsPlanned(config, run) if can_be_planned else None
