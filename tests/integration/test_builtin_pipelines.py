"""Each built-in task through every stage, on its small data set and with tiny models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from builtin_data import rows_of, write_splits
from tiny_models import tiny_bart, tiny_bert, tiny_gpt_neox

from daftt_core.config import Config, from_flat
from daftt_core.curation import curate
from daftt_core.data import prepare
from daftt_core.evaluation import evaluate, read_evaluation
from daftt_core.preflight import preflight, resolve
from daftt_core.records import Example
from daftt_core.reporting import write_report
from daftt_core.student import predict_test, train_arm
from daftt_core.synthesis import annotate, generate
from daftt_core.tasks import answer_prompts, builtin_tasks, load_task, writing_prompt
from daftt_core.teacher import assess, train


def settings(name: str, folder: Path) -> Config:
    task = load_task(name)
    rows = [" ".join(str(value) for value in row.values()) for row in rows_of(name)]
    example = task.example_of(task.positive_examples[0]) if task.positive_examples else None
    example = example or Example.of("x", output=task.label_names[0])
    prompts = [*map(str, answer_prompts(task, example)), str(writing_prompt(task, example))]
    prompts += [label.verbalizer for label in task.labels]
    tiny_gpt_neox(folder / "teacher", [*rows, *prompts, "\n"])
    (tiny_bert if task.labels else tiny_bart)(folder / "student", rows)
    return from_flat(
        {
            "task": name,
            "output": str(folder / "runs"),
            "on_gate_fail": "continue",
            **write_splits(name, folder),
            "data_labelled_count": 8,
            "teacher_model": str(folder / "teacher"),
            # a text must be learned at least so far that the teacher knows where one ends
            "teacher_epochs": 1 if task.labels else 10,
            "teacher_learning_rate": 1e-2,
            "synthesis_shards": 1,
            "synthesis_generate_count": 4,
            "synthesis_max_new_tokens": 40,
            "curation_min_characters": 2,  # an input may be one word
            "student_model": str(folder / "student"),
            "student_seeds": 1,
            "student_epochs": 1,
            "student_min_steps": 2,
            "evaluation_bootstrap_samples": 100,
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin_tasks())
def test_all_stages(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = settings(name, tmp_path)
    run = resolve(config)
    preflight(config)
    data = prepare(run, config.data)
    arms = {arm: train_arm(run, config.student, arm, data.digest) for arm in ("real", "gold")}
    teacher = train(run, config.teacher, data.digest)
    assessment = assess(
        run, config.teacher, config.synthesis, data.digest, teacher.digest, arms["real"].digest
    )
    asked = (data.digest, teacher.digest, assessment.digest)
    shards = [
        step(run, config.synthesis, config.student, 0, *asked) for step in (annotate, generate)
    ]
    made = {shard.name: shard.digest for shard in shards}
    curated = curate(run, config.curation, data.digest, made, ["real+annotated"])
    if "real+annotated" in curated.summary["arms"]:  # not where nothing was kept
        arms["real+annotated"] = train_arm(
            run, config.student, "real+annotated", data.digest, curated.digest
        )
    digests = {arm: result.digest for arm, result in arms.items()}
    predictions = predict_test(run, config.student, data.summary["test_digest"], digests)
    evaluate(run, config.evaluation, predictions.digest, digests)
    assert read_evaluation(run).metric == run.task.primary_metric
    report = write_report(run)
    assert run.task.id in (run.folder / report.name / "report.html").read_text(encoding="utf-8")
