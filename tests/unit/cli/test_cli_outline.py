"""How far a run is, and how long an earlier one says that it takes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from daftt_core.cli.local import time_left
from daftt_core.cli.local.launch import Attempt
from daftt_core.cli.local.outline import Outline, _roughly, outline_of
from daftt_core.cli.local.time_left import AsBefore, seconds_by_place
from daftt_core.cli.local.watch import Watch, display_for
from daftt_core.cli.runs.stored_runs import latest_like
from daftt_core.cli.tables import PlainConsole
from daftt_core.config import from_flat
from daftt_core.preflight import preflight, resolve
from daftt_core.records import write_text
from daftt_core.stages import STAGES, place_of
from daftt_core.storage import read_manifest
from daftt_core.workspace import Run, run_stage
from daftt_core.workspace.status import StageStatus


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    for clock in ("time", "monotonic"):
        monkeypatch.setattr(time_left.time, clock, lambda: now[0])
    return now


def started(stage: str) -> StageStatus:
    return StageStatus(stage=stage, state="running", updated=0.0)


def finished(run: Run, stage: str, seconds: float, ended: float) -> None:
    """Let a stage of a run have taken some time, and have ended at some time."""
    run_stage(run, stage, [], lambda folder: {})
    path = run.folder / stage / "manifest.json"
    manifest = read_manifest(path.parent)
    assert manifest is not None
    write_text(path, manifest.model_copy(update={"seconds": seconds}).text())
    os.utime(path, (ended, ended))


def test_stages_are_counted_without_those_that_the_settings_leave_out() -> None:
    everything = Outline(from_flat({"mixture_tasks": 3}))
    assert everything.position == "stage 1 of 13"
    everything.note(started("teacher"))
    assert everything.position == "stage 5 of 13"
    everything.note(started("data"))  # a stage of an earlier place changes nothing
    assert everything.position == "stage 5 of 13"
    everything.note(started("report"))
    assert str(everything) == "stage 13 of 13"
    least = Outline(from_flat({"promotion_enabled": False}))
    least.note(started("students/real+both"))
    assert least.position == "stage 8 of 11"
    for stage in STAGES:
        least.note(started(stage.name))
    assert least.position == "stage 11 of 11"


def test_what_is_left_is_what_an_earlier_run_took(small_run: Run, clock: list[float]) -> None:
    finished(small_run, "data", 10, 1000)
    finished(small_run, "teacher", 100, 1100)
    finished(small_run, "students/real", 50, 1060)  # beside the teacher
    finished(small_run, "assessment", 20, 90_000)  # resumed a day later
    finished(small_run, "students/real+annotated", 40, 90_040)
    finished(small_run, "students/real+both", 40, 90_060)  # side by side
    finished(small_run, "review/sheet", 500, 99_000)  # no part of a run's time
    assert seconds_by_place(small_run) == {
        place_of("data"): 10,
        place_of("teacher"): 100,
        place_of("assessment"): 20,
        place_of("students/real+both"): 60,
    }
    outline = outline_of(from_flat({}), small_run, small_run)
    outline.note(started("teacher"))
    clock[0] = 30
    assert str(outline) == "stage 4 of 12, about 2 min 30 s left in all"
    clock[0] = 300  # it takes longer than then
    assert str(outline) == "stage 4 of 12, about 1 min 30 s left in all"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under 1 min"),
        (59.9, "under 1 min"),
        (74, "about 1 min"),
        (76, "about 1 min 30 s"),
        (299, "about 5 min"),
        (568, "about 9 min"),
        (3599, "about 1 h 0 min"),
        (7700, "about 2 h 10 min"),
    ],
)
def test_a_time_is_told_as_exactly_as_it_is_known(seconds: float, words: str) -> None:
    assert _roughly(seconds) == words


def test_the_latest_finished_run_of_the_same_task_tells_the_time(tmp_path: Path) -> None:
    def run(name: str, **settings: object) -> Run:
        config = from_flat({"output": str(tmp_path), "name": name, **settings})
        made = resolve(config)
        preflight(config, made)
        return made

    first = run("first", task="movie-reviews")
    assert latest_like(first) is None
    run_stage(first, "report", [], lambda folder: {"headline": "It is better."})
    other = run("other", task="past-tense", student_model="byte-bart")
    run_stage(other, "report", [], lambda folder: {"headline": "It is better."})
    found = latest_like(run("second", task="movie-reviews"))
    assert found is not None
    assert found.name == "first"


def test_lines_say_where_the_run_is_every_30_seconds(small_run: Run, clock: list[float]) -> None:
    file = io.StringIO()
    outline = Outline(from_flat({}), AsBefore({place_of("data"): 120.0}))
    display = display_for(PlainConsole(file=file), outline)
    watch = Watch(Attempt(small_run.folder), display, outline=outline)

    def work(folder: Path) -> dict[str, object]:
        for seconds in (0, 20, 31, 40, 70):
            clock[0] = seconds
            watch.look()
        return {}

    run_stage(small_run, "data", [], work)
    assert file.getvalue().splitlines() == [
        "data: started (stage 3 of 12, about 2 min left in all)",
        "data: running; stage 3 of 12, about 1 min 30 s left in all",
        "data: running; stage 3 of 12, under 1 min left in all",
    ]
