"""What is shown while a run goes on, from the statuses that real stages write."""

from __future__ import annotations

import io

import pytest

from daftt_core.cli.local import watch as watch_module
from daftt_core.cli.local.launch import LOG, Attempt
from daftt_core.cli.local.marks import forget_failure, last_failure
from daftt_core.cli.local.outcome import explain_failure
from daftt_core.cli.local.watch import Watch, display_for, statuses_since
from daftt_core.cli.tables import PlainConsole
from daftt_core.errors import TrainingError
from daftt_core.telemetry import Progress
from daftt_core.workspace import run_stage


class _Shown:
    """A console in a file, and a watch that shows on it."""

    def __init__(self, attempt: Attempt, terminal: bool = False) -> None:
        self._file = io.StringIO()
        console = PlainConsole(
            file=self._file, force_terminal=terminal, width=100, color_system=None
        )
        self.display = display_for(console)
        self.look = Watch(attempt, self.display).look

    @property
    def text(self) -> str:
        return self._file.getvalue()


def test_a_stage_is_shown_from_start_to_end(small_run) -> None:
    attempt = Attempt(small_run.folder)
    shown = _Shown(attempt)

    def work(folder):
        shown.look()
        return {}

    run_stage(small_run, "teacher", [], work)
    shown.look()
    shown.look()
    assert shown.text == "teacher: started\nteacher: done in 0 s\n"


def test_a_line_every_30_seconds_says_what_is_left(small_run, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(watch_module.time, "monotonic", lambda: now[0])
    shown = _Shown(Attempt(small_run.folder))

    def work(folder):
        progress = Progress("annotate", 1500, "examples")
        shown.look()
        for seconds, done in [(4, 100), (29, 200), (32, 420), (61, 500)]:
            now[0] = seconds
            progress._notified = float("-inf")  # as if half a second had passed
            progress.reach(done)
            shown.look()
        return {}

    run_stage(small_run, "synthetic/annotated-000-of-002", [], work)
    lines = shown.text.splitlines()
    assert lines[0] == "synthetic/annotated-000-of-002: started"
    assert len(lines) == 2
    assert lines[1].startswith(
        "synthetic/annotated-000-of-002: 420 of 1500 examples (28%), about 1 min 34 s left"
    )


def test_a_stage_of_an_earlier_attempt_is_already_done(small_run) -> None:
    run_stage(small_run, "data", [], lambda folder: {})
    attempt = Attempt(small_run.folder)
    shown = _Shown(attempt)
    shown.look()
    assert shown.text == ""  # its status is older than the attempt
    run_stage(small_run, "data", [], lambda folder: {})
    shown.look()
    assert shown.text == "data: already done\n"


def test_bars_name_the_stages_that_run_and_list_those_that_ended(small_run) -> None:
    shown = _Shown(Attempt(small_run.folder), terminal=True)

    def work(folder):
        Progress("train", 40, "steps").reach(10)
        shown.look()
        return {}

    run_stage(small_run, "students/real [0]", [], work)
    shown.look()
    shown.display.close()
    assert "students/real [0]" in shown.text
    assert "done in 0 s" in shown.text


def _diverge(folder):
    raise TrainingError("teacher: the loss became NaN at step 3")


def _break(folder):
    raise ZeroDivisionError


def _attempt(small_run, log: str) -> Attempt:
    attempt = Attempt(small_run.folder)
    attempt.folder.mkdir(parents=True, exist_ok=True)
    attempt.log.write_text(log)
    return attempt


def test_a_failed_stage_explains_itself(small_run) -> None:
    attempt = _attempt(small_run, "")
    shown = _Shown(attempt)
    with pytest.raises(TrainingError):
        run_stage(small_run, "teacher", [], _diverge)
    shown.look()
    assert shown.text == "teacher: failed\n"
    error = explain_failure(attempt)
    assert str(error) == "stage teacher: teacher: the loss became NaN at step 3"
    assert error.exit_code == TrainingError.exit_code


def test_a_fault_shows_where_it_broke_off_and_the_last_20_lines(small_run) -> None:
    attempt = _attempt(small_run, "\n".join(f"line {number}" for number in range(50)))
    with pytest.raises(ZeroDivisionError):
        run_stage(small_run, "teacher", [], _break)
    error = explain_failure(attempt)
    assert str(error).startswith("stage teacher broke off")
    assert error.__notes__[0].strip() == "line 30"
    assert error.__notes__[19].strip() == "line 49"
    assert error.exit_code == 1


def test_an_error_outside_a_stage_is_found_in_the_log(small_run) -> None:
    log = "    12:00 reading\n    error 3: my.csv: there is no such file\n12:01 - INFO - FAILURE\n"
    error = explain_failure(_attempt(small_run, log))
    assert str(error) == "my.csv: there is no such file"
    assert error.exit_code == 3
    assert last_failure(small_run.folder) == "my.csv: there is no such file"
    forget_failure(small_run.folder)
    assert last_failure(small_run.folder) == ""


def test_only_this_attempts_log_and_statuses_count(small_run) -> None:
    with pytest.raises(TrainingError):
        run_stage(small_run, "teacher", [], _diverge)
    (small_run.folder / LOG).write_text("an old line\n")
    attempt = Attempt(small_run.folder)
    with attempt.log.open("a") as file:
        file.write("a new line\n")
    assert attempt.log_lines() == ["a new line"]
    assert statuses_since(attempt) == []


def test_the_stages_of_a_sweep_are_shown_under_the_names_of_its_cells(
    small_run, tmp_path, monkeypatch, capsys
) -> None:
    def run(attempt, compiled, parameters, look):
        assert (attempt.folder, compiled, parameters) == (tmp_path, tmp_path / "it.yaml", {"a": 1})
        run_stage(small_run, "teacher", [], lambda folder: look() or {})
        look()
        return 3

    monkeypatch.setattr(watch_module, "run_pipeline", run)
    cells = {"ratio-4": small_run.folder}
    attempt = Attempt(tmp_path)
    code = watch_module.run_and_show(attempt, tmp_path / "it.yaml", {"a": 1}, "1 cell", cells)
    assert code == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["1 cell", "ratio-4/teacher: started", "ratio-4/teacher: done in 0 s"]
