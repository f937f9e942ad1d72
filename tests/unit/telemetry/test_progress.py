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


def test_the_estimate_counts_only_this_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 10)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    seen: list[Snapshot] = []
    with watched_by(seen.append):
        progress = Progress("annotate", 100, "examples", done=80)
        progress.advance(5)
    assert seen[-1].done == 85
    assert seen[-1].seconds_left == pytest.approx(30)  # 5 in 10 s, so 15 more in 30 s
    assert str(seen[-1]) == "annotate: 85 of 100 examples (85%), about 30 s left"


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
