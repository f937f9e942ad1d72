"""A stage whose process is killed goes on from there, and nobody can tell from what it made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from untrained_run import MOMENTS, Untrained, make_untrained

from daftt_core.engines import LocalEngine
from daftt_core.records import SyntheticExample
from daftt_core.synthesis.outputs import Outputs

SUPPORT = Path(__file__).parents[2] / "support"
PROGRAM = SUPPORT / "untrained_run.py"
DEADLINE_SECONDS = 600


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("source", ["annotated", "generated"])
def test_a_killed_stage_ends_as_an_undisturbed_one(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    calm = make_untrained(tmp_path, synthesis_shards=1, synthesis_generate_count=60)
    killed = {moment: copy_of(calm, tmp_path / moment) for moment in MOMENTS}
    processes = {moment: start(killed[moment], source, moment) for moment in MOMENTS}
    try:
        everything = asked_for(calm, source, monkeypatch)
        for moment, process in processes.items():
            assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL, moment
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    for moment, run in killed.items():
        again = asked_for(run, source, monkeypatch)
        done_before = len(everything) - len(again)
        assert again == [one for one in everything if one in again]
        assert (done_before == len(everything)) == (moment == "renaming the examples"), moment
        assert done_before > 0, moment
        assert made(run, source) == made(calm, source), moment


def copy_of(calm: Untrained, folder: Path) -> Untrained:
    """The same run at another place, with the finished stages and nothing of synthesis."""
    shutil.copytree(calm.run.folder, folder)
    run = calm.run.model_copy(update={"uri": str(folder)})
    copied = calm.model_copy(update={"run": run})
    (folder / "where.json").write_text(copied.model_dump_json())
    return copied


def start(run: Untrained, source: str, moment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, PROGRAM, run.run.folder / "where.json", source, moment],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT.parents[1]), str(SUPPORT)])},
    )


def asked_for(run: Untrained, source: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Do the stage; which inputs the teacher was asked to label, or with which seeds to write."""
    asked: list[str] = []
    give, write = Outputs.give, LocalEngine.write

    def note_given(self: Outputs, some: list[SyntheticExample], *how: Any) -> Any:
        asked.extend(one.id for one in some)
        return give(self, some, *how)

    def note_written(self: LocalEngine, prompts: Any, seeds: list[int], **how: Any) -> Any:
        asked.extend(map(str, seeds))
        return write(self, prompts, seeds, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Outputs, "give", note_given)
        patch.setattr(LocalEngine, "write", note_written)
        run.make(source)
    return asked


def made(run: Untrained, source: str) -> bytes:
    return (run.run.folder / f"synthetic/{source}-000-of-001/examples.jsonl").read_bytes()
