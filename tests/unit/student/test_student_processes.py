"""Students that are worked on side by side, in processes of their own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from student_examples import sentiment_examples, sentiment_task

from daftt_core.config import StudentConfig
from daftt_core.errors import TrainingError
from daftt_core.records import Prediction, read_jsonl
from daftt_core.student import Questions, predict_test, train_arm
from daftt_core.student.processes import students_at_once, work_on
from daftt_core.telemetry import Usage, count_tokens, metered
from daftt_core.workspace import Run, stage_manifest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes begin as copies")


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the number of cores that the machine seems to have."""

    def have(number: int) -> None:
        monkeypatch.setenv("DAFTT_LOOP_WIDTH", "1")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))

    return have


def usage_of(run: Run, stage: str) -> Usage:
    manifest = stage_manifest(run, stage)
    assert manifest is not None
    assert manifest.usage is not None
    return manifest.usage


def test_all_cores_are_busy_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = {  # cores, students
        (1, 3): 1,
        (2, 1): 1,
        (2, 2): 2,
        (2, 3): 3,
        (2, 4): 2,
        (4, 3): 3,
        (4, 5): 5,
        (16, 3): 1,
    }
    for (number, students), at_once in expected.items():
        torch.set_num_threads(number)
        assert students_at_once(students, 22_000_000) == at_once
        assert students_at_once(students, 355_000_000) == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert students_at_once(4, 22_000_000) == 1


def test_students_side_by_side_are_those_that_one_core_trains_in_turn(
    run: Run,
    prepared: dict[str, str],
    config: StudentConfig,
    cores: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    three = config.model_copy(update={"seeds": 3})
    in_turn = train_arm(run, three, "real", prepared["data"])
    answered = predict_test(run, three, prepared["test"], {"real": in_turn.digest})
    read = {stage: usage_of(run, stage).tokens_read for stage in ("students/real", "predictions")}

    (run.folder / "students").rename(run.folder / "in-turn")
    (run.folder / "predictions").rename(run.folder / "in-turn-predictions")
    cores(2)
    caplog.set_level("INFO")
    together = train_arm(run, three, "real", prepared["data"])
    assert together.digest == in_turn.digest
    assert "train real: 9 of 9 steps (100%)" in caplog.text
    again = predict_test(run, three, prepared["test"], {"real": together.digest})
    found, before = (
        read_jsonl(run.folder / folder / "real.jsonl", Prediction)
        for folder in ("predictions", "in-turn-predictions")
    )
    assert found == before
    assert again.result.seconds_per_example is not None
    assert answered.result.seconds_per_example is not None
    for stage, tokens in read.items():
        assert usage_of(run, stage).tokens_read == tokens > 0


def test_a_mistake_in_a_process_is_raised_here_and_ends_the_others() -> None:
    started = time.monotonic()

    def fail(_on_units: Callable[[int], None]) -> None:
        raise TrainingError("the loss became nan")

    def work(_on_units: Callable[[int], None]) -> None:
        time.sleep(600)

    with pytest.raises(TrainingError, match="the loss became nan"):
        list(work_on([work, fail], 2, [].append))
    assert time.monotonic() - started < 300


def test_a_fault_in_a_process_shows_where_it_was() -> None:
    def divide(_on_units: Callable[[int], None]) -> float:
        return 1 / 0

    with pytest.raises(RuntimeError, match=r"in divide[\s\S]*ZeroDivisionError"):
        list(work_on([divide, divide], 2, [].append))


def test_a_process_that_is_killed_is_named() -> None:
    def die(_on_units: Callable[[int], None]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(TrainingError, match="ended with exit code -9"):
        list(work_on([die, die], 2, [].append))


def test_units_and_tokens_of_all_processes_are_counted() -> None:
    def work(on_units: Callable[[int], None]) -> int:
        for _ in range(3):
            on_units(2)
            count_tokens(read=5, written=1)
        return os.getpid()

    units: list[int] = []
    with metered() as meter:
        results = dict(work_on([work] * 5, 2, units.append))
    assert sorted(results) == [0, 1, 2, 3, 4]
    assert len({*results.values(), os.getpid()}) == 6
    assert sum(units) == 30
    assert (meter.usage().tokens_read, meter.usage().tokens_written) == (75, 15)


def test_a_process_ends_with_the_one_that_started_it() -> None:
    def work(on_units: Callable[[int], None]) -> None:
        on_units(os.getpid())
        time.sleep(600)

    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            list(work_on([work, work], 2, lambda pid: os.write(writer, b"%d\n" % pid)))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        children = [int(lines.readline()) for _ in range(2)]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 60
    while any(_lives(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
        return stat.rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_students_of_an_arm_answer_as_each_does_alone(
    run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    train_arm(run, config, "real", prepared["data"])
    folders = [run.folder / "students" / "real" / f"seed-{seed}" for seed in (0, 1)]
    questions = Questions(sentiment_task(), config, sentiment_examples(9, 500))
    together = questions.ask_all(folders, "real", [].append)
    alone = [questions.ask(folder, "real", seed, [].append) for seed, folder in enumerate(folders)]
    assert together == alone
