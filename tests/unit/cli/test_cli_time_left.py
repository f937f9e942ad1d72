"""How long a first run may still take, by its plan and by what its stages have taken."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from toy_task import remarks, write_remarks, write_task

from daftt_core.cli.local import time_left
from daftt_core.cli.local.launch import Attempt
from daftt_core.cli.local.outline import Outline, outline_of
from daftt_core.cli.local.time_left import AsPlanned, time_left_of
from daftt_core.cli.local.watch import Watch, display_for
from daftt_core.cli.tables import PlainConsole
from daftt_core.config import Config, from_flat
from daftt_core.data import prepare
from daftt_core.planning import (
    StageTime,
    TimePlan,
    measure_lengths,
    model_shape,
    plan_times,
    student_shape,
    typical_pace,
    with_counts,
)
from daftt_core.preflight import preflight, resolve
from daftt_core.records import write_text
from daftt_core.stages import DataResult
from daftt_core.storage import read_manifest
from daftt_core.telemetry import Snapshot
from daftt_core.workspace import Run, read_examples, run_stage
from daftt_core.workspace.status import StageStatus

_PLAN = {
    "students/real": StageTime("students/real", 1, 0, 100.0, 1.0),
    "teacher": StageTime("teacher", 1, 0, 300.0, 10.0),
    "assessment": StageTime("assessment", 1, 0, 20.0, 10.0),
    "synthetic/annotated-000-of-002": StageTime("annotation", 2, 0, 60.0, 0.5),
    "synthetic/annotated-001-of-002": StageTime("annotation", 2, 0, 60.0, 0.5),
    "students/real+annotated": StageTime("students/real+annotated", 1, 0, 80.0, 1.0),
    "students/real+both": StageTime("students/real+both", 1, 0, 120.0, 1.0),
    "students/real+generated": StageTime("students/real+generated", 1, 0, 50.0, 1.0),
    "predictions": StageTime("predictions", 1, 0, 40.0, 0.1),
}
_LATER = 20 + 60 + (80 + 50) + 40  # seconds on the clock after the place of the teacher


class _Told:
    """A run of the plan above, at moments that a test chooses."""

    def __init__(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self._run = 1000.0, run
        monkeypatch.setattr(time_left.time, "time", lambda: self.now)
        monkeypatch.setattr(time_left, "_planned_stages", lambda config, run: _PLAN)
        self.estimate = AsPlanned(from_flat({}), run)
        self.ended("data", 0)

    def runs(self, stage: str, *progress: Any) -> None:
        snapshot = Snapshot(*progress) if progress else None
        self._note(stage, "running", snapshot)

    def ended(self, stage: str, seconds: float) -> None:
        finish(self._run, stage, seconds)
        self._note(stage, "done", None)

    def _note(self, stage: str, state: Any, progress: Snapshot | None) -> None:
        status = StageStatus(stage=stage, state=state, updated=self.now, progress=progress)
        self.estimate.note(status)

    @property
    def seconds(self) -> float | None:
        return self.estimate.seconds


def finish(run: Run, stage: str, seconds: float) -> None:
    """Let a stage of a run have taken some time."""
    if read_manifest(run.folder / stage) is None:
        run_stage(run, stage, [], lambda folder: {})
    manifest = read_manifest(run.folder / stage)
    assert manifest is not None
    text = manifest.model_copy(update={"seconds": seconds}).text()
    write_text(run.folder / stage / "manifest.json", text)


@pytest.fixture
def told(small_run: Run, monkeypatch: pytest.MonkeyPatch) -> _Told:
    return _Told(small_run, monkeypatch)


def test_nothing_is_told_before_half_a_minute_of_work_was_measured(told: _Told) -> None:
    told.runs("students/real", "train real", 0, 60, "steps", None)
    told.now += 15  # loading takes its time
    told.runs("students/real", "train real", 10, 60, "steps", None)
    told.now += 29
    told.runs("students/real", "train real", 20, 60, "steps", None)
    assert told.seconds is None
    told.now += 1
    told.runs("students/real", "train real", 25, 60, "steps", None)
    # 15 steps in 30 s, and one was planned for 1 s: half as fast
    assert told.seconds == pytest.approx(2 * (100 + 300 + _LATER) - 45)


def test_a_finished_stage_tells_how_fast_this_machine_is(told: _Told) -> None:
    told.ended("students/real", 50.0)  # twice as fast as planned
    assert told.seconds == pytest.approx((300 + _LATER) / 2)
    told.runs("teacher")
    told.now += 40
    assert told.seconds == pytest.approx((300 + _LATER) / 2 - 40)


def test_a_stage_that_runs_corrects_itself_and_later_stages_of_its_kind(told: _Told) -> None:
    told.ended("students/real", 100.0)
    told.runs("teacher", "train teacher", 0, 30, "steps", None)
    told.now += 20
    told.runs("teacher", "train teacher", 2, 30, "steps", None)
    told.now += 40
    told.runs("teacher", "train teacher", 4, 30, "steps", 520.0)
    # two steps of 10 s took 40 s: it will take 600 s, and all work so far 140 for 120
    others, students = (20 + 60) * 140 / 120, 130 + 40
    assert told.seconds == pytest.approx(600 - 60 + others + students)
    told.ended("teacher", 600.0)
    told.ended("assessment", 60.0)  # three times as long as planned, and so will annotation be
    assert told.seconds == pytest.approx(3 * 60 + students)


def test_the_latest_minute_of_work_counts(told: _Told) -> None:
    told.ended("students/real", 400.0)  # the machine was busy
    told.runs("teacher", "train teacher", 0, 30, "steps", None)
    told.now += 10
    told.runs("teacher", "train teacher", 1, 30, "steps", None)
    told.now += 60
    told.runs("teacher", "train teacher", 7, 30, "steps", None)  # and is not now
    students = 4 * (130 + 40)  # of their own pace nothing newer is known
    assert told.seconds == pytest.approx(300 - 70 + 20 + 60 + students)


def test_what_a_stage_says_itself_is_never_left_out(told: _Told) -> None:
    told.ended("students/real", 100.0)
    told.runs("teacher", "train teacher", 0, 30, "steps", None)
    told.now += 1000  # much longer than planned
    assert told.seconds == pytest.approx(_LATER)
    told.runs("teacher", "train teacher", 0, 30, "steps", 200.0)
    assert told.seconds == pytest.approx(_LATER + 200)


def test_a_second_work_of_a_stage_is_not_compared_with_the_first(told: _Told) -> None:
    told.runs("students/real", "train real", 0, 60, "steps", None)
    told.runs("students/real", "train real", 10, 60, "steps", None)
    told.now += 40
    told.runs("students/real", "train real", 50, 60, "steps", None)
    told.runs("students/real", "dev scores of real", 0, 600, "answers", None)
    told.runs("students/real", "dev scores of real", 600, 600, "answers", 0.0)
    assert told.seconds == pytest.approx(100 - 40 + 300 + _LATER)


def test_what_an_earlier_attempt_has_done_is_not_left(told: _Told) -> None:
    told.ended("students/real", 100.0)
    told.runs("teacher", "train teacher", 24, 30, "steps", None)
    assert told.seconds == pytest.approx(300 * 6 / 30 + _LATER)


def test_iterations_of_a_loop_go_two_at_a_time(told: _Told) -> None:
    for stage in ("students/real", "teacher", "assessment"):
        told.ended(stage, _PLAN[stage].seconds)
    told.runs("synthetic/annotated-000-of-002")
    told.runs("synthetic/annotated-001-of-002")
    told.now += 20
    assert told.seconds == pytest.approx(40 + 130 + 40)
    told.ended("synthetic/annotated-001-of-002", 60.0)
    assert told.seconds == pytest.approx(40 + 130 + 40)
    told.ended("synthetic/annotated-000-of-002", 60.0)
    told.ended("students/real+both", 120.0)
    assert told.seconds == pytest.approx(80 + 40)


@pytest.mark.parametrize(
    "settings",
    [
        {"task": "past-tense"},  # texts
        {"synthesis_engine": "vllm"},
        {"job_launcher": "trainjob"},
        {"output": "gs://bucket/runs"},
    ],
)
def test_of_other_runs_nothing_is_told(settings: dict[str, Any], tmp_path: Path) -> None:
    settings = {"output": str(tmp_path), "task": "movie-reviews", **settings}
    config = from_flat(settings)
    assert time_left_of(config, resolve(config), None) is None


def test_nothing_is_told_where_there_is_a_gpu(
    small_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert time_left_of(from_flat({}), small_run, None) is not None
    monkeypatch.setattr(time_left, "is_worthwhile", lambda: False)
    assert time_left_of(from_flat({}), small_run, None) is None


class _Broken:
    def note(self, status: StageStatus) -> None:
        raise ZeroDivisionError

    @property
    def seconds(self) -> float | None:
        raise ZeroDivisionError


def test_an_estimate_that_breaks_leaves_the_stages(small_run: Run) -> None:
    outline = Outline(from_flat({}), _Broken())
    outline.note(StageStatus(stage="teacher", state="running", updated=1.0))
    assert str(outline) == "stage 4 of 12"


def _first_run(folder: Path) -> tuple[Config, Run]:
    task = write_task(folder)
    train = write_remarks(folder / "meals.csv", remarks()[:600])
    settings = {"output": str(folder), "task": str(task), "data_train": str(train)}
    config = from_flat({**settings, "data_labelled_count": 40})
    run = resolve(config)
    preflight(config, run)
    return config, run


def _plan(config: Config, run: Run, data: DataResult) -> TimePlan:
    """Plan the run as ``daftt plan`` does, at the typical pace."""
    config = with_counts(config, data.sizes)
    examples = [
        example
        for name in ("labelled", "unlabelled")
        for example in read_examples(run, "data", None, name)
    ]
    shapes = model_shape("teacher", config.teacher.model), student_shape(config, run.task)
    lengths = measure_lengths(config, run.task, *shapes, examples)
    pace = typical_pace(*shapes)
    return plan_times(config, run.task, *shapes, ["real", "gold"], lengths, pace, copies=True)


def test_lines_of_a_first_run_say_how_long_it_will_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    for clock in ("time", "monotonic"):
        monkeypatch.setattr(time_left.time, clock, lambda: now[0])
    config, run = _first_run(tmp_path)
    file = io.StringIO()
    outline = outline_of(config, run, None)
    display = display_for(PlainConsole(file=file), outline)
    watch = Watch(Attempt(run.folder), display, outline=outline)

    def shown(stage: str, state: str, after: float, **progress: Any) -> str:
        """Let a stage write its status some seconds later; return the last line shown."""
        now[0] += after
        status = {"stage": stage, "state": state, "updated": now[0]}
        text = json.dumps(status | {"progress": progress or None})
        write_text(run.folder / ".status" / f"{stage}.json", text)
        watch.look()
        return file.getvalue().splitlines()[-1]

    plan = _plan(config, run, prepare(run, config.data).result)
    real = plan.stages[0]
    assert real.name == "students/real"
    steps: dict[str, Any] = {"what": "train real", "unit": "steps", "total": 180}
    assert shown("students/real", "running", 1) == "students/real: started (stage 4 of 12)"
    shown("students/real", "running", 4, **steps, done=0, seconds_left=None)
    shown("students/real", "running", 1, **steps, done=10, seconds_left=None)
    line = shown("students/real", "running", 60, **steps, done=110, seconds_left=90.0)
    left = 60 / (100 * real.unit) * plan.seconds - 65
    assert line == (
        "students/real: 110 of 180 steps (61%), about 1 min 30 s left; stage 4 of 12, about "
        f"{round(left / 60)} min left in all"
    )
    finish(run, "students/real", 3 * real.seconds)
    shown("students/real", "done", 60)
    left = 3 * (plan.seconds - real.seconds)
    assert shown("students/gold", "running", 1) == (
        f"students/gold: started (stage 4 of 12, about {round(left / 60)} min left in all)"
    )
