from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from student_examples import commit_examples, sentiment_examples, sentiment_task

from daftt_core.config import StudentConfig
from daftt_core.student import train_arm
from daftt_core.workspace import Run

TRAIN = """
import sys
from daftt_core.config import StudentConfig
from daftt_core.student import train_arm
from daftt_core.workspace import Run
run, config, data = sys.argv[1:]
train_arm(Run.model_validate_json(run), StudentConfig.model_validate_json(config), "real", data)
"""


def prepared_run(folder: Path) -> tuple[Run, str]:
    run = Run(uri=str(folder), seed=13, task=sentiment_task())
    files = {"labelled": sentiment_examples(16), "dev": sentiment_examples(10, 100)}
    return run, commit_examples(run, "data", files).digest


@pytest.mark.slow
@pytest.mark.parametrize("loop_width", ["64", "1"], ids=["in turn", "side by side"])
def test_a_killed_arm_goes_on_with_the_other_seeds_and_ends_the_same(
    tmp_path: Path, bert: Path, loop_width: str
) -> None:
    config = StudentConfig(
        model=str(bert), seeds=3, epochs=1, min_steps=40, batch_size=8, max_length=16
    )
    calm, data = prepared_run(tmp_path / "calm")
    undisturbed = train_arm(calm, config, "real", data)

    run, data = prepared_run(tmp_path / "killed")
    arm = run.folder / "students" / "real"
    with subprocess.Popen(
        [sys.executable, "-c", TRAIN, run.model_dump_json(), config.model_dump_json(), data],
        env={**os.environ, "DAFTT_LOOP_WIDTH": loop_width},
    ) as process:
        deadline = time.monotonic() + 500
        while not (arm / "seed-0" / "manifest.json").is_file():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (arm / "manifest.json").exists()
    before = (arm / "seed-0" / "model.safetensors").stat().st_mtime_ns

    finished = train_arm(run, config, "real", data)
    assert (arm / "seed-0" / "model.safetensors").stat().st_mtime_ns == before
    assert finished.digest == undisturbed.digest
    assert finished.summary == undisturbed.summary


def test_a_damaged_student_of_an_unfinished_arm_is_trained_again(
    tmp_path: Path, bert: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = StudentConfig(
        model=str(bert), seeds=2, epochs=1, min_steps=2, batch_size=8, max_length=16
    )
    run, data = prepared_run(tmp_path)
    whole = train_arm(run, config, "real", data)
    arm = run.folder / "students" / "real"
    (arm / "manifest.json").unlink()
    (arm / "seed-1" / "model.safetensors").write_bytes(b"cut off")
    again = train_arm(run, config, "real", data)
    assert again.digest == whole.digest
    assert "training this student again" in caplog.text
