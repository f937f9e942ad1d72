"""How well ``daftt plan`` foresees a run on this machine, against a run that was finished on it.

    python benchmarks/planned_times.py runs/movie-reviews-0f484be2

The peer is what the stages' manifests record. Both are compared in processor time, which other work
on the machine changes least; the ratio of the clock's times is the same where the machine is as
busy as it was then. A stage's processor time includes what no plan counts: loading models,
tokenizing, converting a GGUF file once.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

from daftt_core import rehearsal
from daftt_core.config import Config
from daftt_core.planning import (
    TimePlan,
    measure_lengths,
    model_shape,
    plan_times,
    student_shape,
    with_counts,
)
from daftt_core.stages import DATA, PREFLIGHT, baseline_arms
from daftt_core.student.processes import students_at_once
from daftt_core.telemetry import LOCAL_LOOP_WIDTH
from daftt_core.workspace import Run, finished_stages, load_run, read_examples, stage_manifest
from daftt_core.workspace.reading import manifest_at

_NAMES = {"synthetic/annotated": "annotation", "synthetic/generated": "generation"}


def main() -> None:
    """Print a line a stage, and the ratio of the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of a finished run")
    folder = parser.parse_args().run
    preflight = manifest_at(folder, PREFLIGHT)
    if preflight is None:
        raise SystemExit(f"{folder}: is no finished run")
    run, config = load_run(folder, preflight.digest)
    seconds, tokens = _recorded(run)
    planned = _planned(run, config)
    print(f"{'stage':26} {'tokens':>9} {'recorded':>9} {'CPU s':>7} {'recorded':>9} {'ratio':>6}")
    in_all = [0.0, 0.0]
    for stage in planned.stages:
        shared = stage.processes > 1 or "+" in stage.name
        foreseen = stage.seconds * stage.processes / (LOCAL_LOOP_WIDTH if shared else 1)
        found = seconds[stage.name]
        in_all = [in_all[0] + foreseen, in_all[1] + found]
        print(
            f"{stage.name:26} {stage.tokens:9,} {tokens[stage.name]:9,} {foreseen:7.1f} "
            f"{found:9.1f} {foreseen / found:6.2f}"
        )
    print(f"planned against recorded: {in_all[0] / in_all[1]:.2f}")


def _recorded(run: Run) -> tuple[dict[str, float], dict[str, int]]:
    """Return the processor time and the tokens of each stage, those of its shards together."""
    seconds: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = defaultdict(int)
    for name in finished_stages(run):
        manifest = stage_manifest(run, name)
        if manifest and manifest.usage:
            stage = _NAMES.get(name.partition("-0")[0], name)
            seconds[stage] += sum(manifest.usage.cpu_seconds.values())
            tokens[stage] += manifest.usage.tokens_read + manifest.usage.tokens_written
    return seconds, tokens


def _planned(run: Run, config: Config) -> TimePlan:
    """Return the plan, with the processor time of all cores in place of the clock's time."""
    manifest = stage_manifest(run, DATA)
    if manifest is None:
        raise SystemExit(f"{run.uri}: has no data")
    data = DATA.parse(manifest.summary, run.uri)
    config = with_counts(config, data.sizes)
    names = ("labelled", "unlabelled")
    examples = [example for name in names for example in read_examples(run, DATA, None, name)]
    teacher, student = (
        model_shape("teacher", config.teacher.model),
        student_shape(config, run.task),
    )
    lengths = measure_lengths(config, run.task, teacher, student, examples)
    rehearsal.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment]
    pace = rehearsal.rehearse(config, run.task, lengths)
    # measured in processes of one thread, several of which were to share the machine
    students = students_at_once(config.student.seeds, student.parameters)
    pace = replace(
        pace,
        scoring=pace.scoring * LOCAL_LOOP_WIDTH,
        writing=pace.writing * LOCAL_LOOP_WIDTH,
        learning=pace.learning * students,
        contrasting=pace.contrasting * students,
        answering=pace.answering * students,
    )
    baseline = baseline_arms(config.student.gold_arm, gold_is_known=data.gold_is_known)
    return plan_times(config, run.task, teacher, student, baseline, lengths, pace, copies=True)


if __name__ == "__main__":
    main()
