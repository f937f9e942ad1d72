"""Do from Python what `daftt run` does, on a task of your own and without Kubeflow.

    python examples/own_task.py examples/own_task

The folder holds task.yaml, labelled.csv, unlabelled.csv and run.yaml (settings). Each stage is a
function that can be called in a notebook as well; a finished stage is not done a second time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from daftt_core.config import Config, from_flat, read_settings
from daftt_core.curation import curate
from daftt_core.data import prepare
from daftt_core.evaluation import evaluate, read_evaluation
from daftt_core.preflight import preflight, resolve
from daftt_core.reporting import summary_table, write_report
from daftt_core.stages import augmented_arms, baseline_arms, synthesis_shards
from daftt_core.student import predict_test, train_arm
from daftt_core.synthesis import annotate, generate
from daftt_core.teacher import assess, train
from daftt_core.workspace import Run


def run_stages(config: Config) -> Run:
    """Run every stage, one after the other; each takes the digests of what it reads."""
    run = resolve(config)
    preflight(config, run)
    data = prepare(run, config.data)
    students = {}
    for arm in baseline_arms(config.student.gold_arm, gold_is_known=data.summary["gold_is_known"]):
        students[arm] = train_arm(run, config.student, arm, data.digest).digest
    teacher = train(run, config.teacher, data.digest).digest
    gate = assess(run, config.teacher, config.synthesis, data.digest, teacher, students["real"])
    written = {}
    for shard in synthesis_shards(config.synthesis.mode, config.synthesis.shards):
        write = annotate if shard["source"] == "annotated" else generate
        number = int(shard["shard"])
        made = write(
            run, config.synthesis, config.student, number, data.digest, teacher, gate.digest
        )
        written[made.name] = made.digest
    wanted = augmented_arms(config.synthesis.mode)
    kept = curate(run, config.curation, data.digest, written, wanted)
    for arm in kept.summary["arms"]:
        students[arm] = train_arm(
            run, config.student, arm, data.digest, kept.digest, students["real"]
        ).digest
    answers = predict_test(run, config.student, data.summary["test_digest"], students)
    evaluate(run, config.evaluation, answers.digest, students)
    write_report(run)
    return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the task of a folder and print how the students compare."""
    parser = argparse.ArgumentParser(description="Run every stage on the task of a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teacher", default="smollm2-135m-instruct", help="name, folder or Hub id")
    parser.add_argument("--student", default="all-minilm-l6-v2", help="name, folder or Hub id")
    parser.add_argument("--output", default="runs", help="where the run's folder is made")
    given = parser.parse_args(arguments)
    config = from_flat(
        {
            **read_settings(given.folder / "run.yaml"),
            "task": str(given.folder / "task.yaml"),
            "data_train": str(given.folder / "labelled.csv"),
            "data_unlabelled": str(given.folder / "unlabelled.csv"),
            "teacher_model": given.teacher,
            "student_model": given.student,
            "output": given.output,
        }
    )
    run = run_stages(config)
    found = read_evaluation(run)
    print(f"{summary_table(found)}\n\n{found.headline}\n")
    print(f"Report: {run.folder / 'report' / 'report.html'}")


if __name__ == "__main__":
    main()
