"""A run of the toy task whose teacher is a tiny model as it was born: for tests of synthesis.

As a program it does one stage of such a run and is killed at a given moment, as by the machine:

    python tests/support/untrained_run.py WHERE.json annotated MOMENT
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from toy_run import toy_config, write_assessment

from daftt_core.config import StudentConfig, SynthesisConfig
from daftt_core.data import prepare
from daftt_core.preflight import resolve
from daftt_core.records import SyntheticExample, read_jsonl
from daftt_core.workspace import Run, StageResult, run_stage

__all__ = ["MOMENTS", "Untrained", "make_untrained"]

MOMENTS = ("asking", "renaming a chunk", "after a chunk", "renaming the examples")


class Untrained(BaseModel):
    """A run that is ready for synthesis, and its settings."""

    run: Run
    config: SynthesisConfig
    student: StudentConfig
    data: str
    teacher: str
    assessment: str

    def make(self, source: str, **changes: object) -> list[SyntheticExample]:
        """Do all shards of a source; what they made, by shard and in order."""
        config = self.config.model_copy(update=changes)
        results = [self.make_shard(source, shard, config) for shard in range(config.shards)]
        folders = [self.run.folder / result.name for result in results]
        return [
            example
            for folder in folders
            for example in read_jsonl(folder / "examples.jsonl", SyntheticExample)
        ]

    def make_shard(self, source: str, shard: int, config: SynthesisConfig) -> StageResult:
        """Do one shard of a source."""
        from daftt_core.synthesis import annotate, generate  # loads torch

        write = annotate if source == "annotated" else generate
        given = (self.run, config, self.student, shard)
        return write(*given, self.data, self.teacher, self.assessment)


def make_untrained(folder: Path, **settings: object) -> Untrained:
    """Make the run.

    Args:
        folder: Where files, models and the run go.
        settings: Flat settings that replace the toy's own.
    """
    from daftt_core.evaluation import Calibration

    config = toy_config(folder, **settings)
    run = resolve(config)

    def copy_model(stage: Path) -> dict[str, Any]:
        shutil.copytree(folder / "teacher", stage, dirs_exist_ok=True)
        return {}

    def calibrate(stage: Path) -> dict[str, Any]:
        write_assessment(stage, calibration=Calibration(bias=(0.0, 0.0)))
        return {}

    return Untrained(
        run=run,
        config=config.synthesis,
        student=config.student,
        data=prepare(run, config.data).digest,
        teacher=run_stage(run, "teacher", [], copy_model).digest,
        assessment=run_stage(run, "assessment", [], calibrate).digest,
    )


def _kill_at(moment: str) -> None:
    """Have this process killed in the middle of its work."""
    from daftt_core.synthesis import shards
    from daftt_core.synthesis.outputs import Outputs

    reached: Counter[str] = Counter()
    replace, give, keep = Path.replace, Outputs.give, shards.keep

    def reach(point: str, time: int) -> None:
        reached[point] += 1
        if point == moment and reached[point] == time:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched_replace(self: Path, target: Path) -> Path:
        if ".chunks" in self.parts:
            reach("renaming a chunk", 2)
        if Path(target).name == "examples.jsonl":
            reach("renaming the examples", 1)
        return replace(self, target)

    def watched_give(self: Outputs, *given: Any) -> list[SyntheticExample]:
        made = give(self, *given)
        reach("asking", 8)
        return made

    def watched_keep(path: Path) -> None:
        reach("after a chunk", 2)
        keep(path)

    Path.replace = watched_replace  # type: ignore[method-assign,assignment]
    Outputs.give = watched_give  # type: ignore[method-assign]
    shards.keep = watched_keep


def main(arguments: Sequence[str]) -> None:
    """Do a shard's work until the moment comes."""
    where, source, moment = arguments
    untrained = Untrained.model_validate_json(Path(where).read_text(encoding="utf-8"))
    _kill_at(moment)
    untrained.make_shard(source, 0, untrained.config)


if __name__ == "__main__":
    main(sys.argv[1:])
