"""Progress: what a person sees of long work."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from daftt_core.errors import ConfigError
from daftt_core.telemetry import Progress, Snapshot, duration, stage_process, watched_by


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_watcher_sees_the_start_and_the_end() -> None:
    seen: list[Snapshot] = []
    with watched_by(seen.append):
        progress = Progress("annotate", 100, "examples")
        for _ in range(100):
            progress.advance()
    assert (seen[0].done, seen[0].seconds_left) == (0, None)
    assert (seen[-1].done, seen[-1].total, seen[-1].seconds_left) == (100, 100, 0)
    assert len(seen) < 20, "a watcher is told a few times a second, not every time"


def test_nobody_watches_after_the_block() -> None:
    seen: list[Snapshot] = []
    with watched_by(seen.append):
        pass
    Progress("annotate", 1, "examples").advance()
    assert seen == []


def estimates(monkeypatch: pytest.MonkeyPatch, times: list[float], done: int) -> list[Snapshot]:
    """Snapshots of work that finishes one unit of 100 at each time; it begins at the first."""
    clock = iter(times)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    seen: list[Snapshot] = []
    with watched_by(seen.append):
        progress = Progress("annotate", 100, "examples", done=done)
        for _ in times[1:]:
            progress.advance()
    return seen


def test_the_estimate_counts_only_this_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    last = estimates(monkeypatch, [0, 2, 4, 6, 8, 10, 12], done=80)[-1]
    assert last.done == 86
    assert last.seconds_left == pytest.approx(28)  # one in 2 s, so 14 more in 28 s
    assert str(last) == "annotate: 86 of 100 examples (86%), about 28 s left"


def test_the_first_estimate_waits_until_the_work_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = estimates(monkeypatch, [0, 60, 64, 68, 72], done=0)  # the first unit took a minute
    assert [each.seconds_left for each in seen[:-1]] == [None] * 4
    assert seen[-1].seconds_left == pytest.approx(4 * 96)


def test_one_unit_says_nothing_about_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 500.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    seen: list[Snapshot] = []
    with watched_by(seen.append):
        progress = Progress("train", 10, "shards")
        progress.advance()
        progress.reach(1)
    assert seen[-1].seconds_left is None


def test_the_log_gets_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = itertools.count(0, 1)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level("INFO", "daftt"):
        progress = Progress("train", 35, "steps")
        for _ in range(35):
            progress.advance()
    assert [record.message.split(" steps")[0] for record in caplog.records] == [
        "train: 10 of 35",
        "train: 20 of 35",
        "train: 30 of 35",
        "train: 35 of 35",
    ]


def test_no_work_at_all_is_finished_work() -> None:
    seen: list[Snapshot] = []
    with watched_by(seen.append):
        Progress("annotate", 0, "examples")
    assert "(100%)" in str(seen[0])


def test_a_mistake_is_left_where_kubernetes_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "termination-log"
    monkeypatch.setattr("daftt_core.telemetry.progress.TERMINATION_LOG", log)
    for is_pod in (False, True):
        if is_pod:
            log.touch()
        with pytest.raises(SystemExit) as ended, stage_process():
            raise ConfigError("output: 'runs' is local\ntask: no such")
        assert ended.value.code == 2
        assert log.exists() == is_pod
    assert log.read_text() == "output: 'runs' is local\ntask: no such"
    assert "error 2: task: no such\n" in capsys.readouterr().err
