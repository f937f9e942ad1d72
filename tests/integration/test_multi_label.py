"""Every stage on a task whose outputs are sets of labels, up to the exported student's answers."""

from __future__ import annotations

import csv
import json
import random
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_models import tiny_bert, tiny_gpt_neox

from daftt_core.cli.app import main
from daftt_core.config import Config, from_flat
from daftt_core.curation import curate
from daftt_core.data import prepare
from daftt_core.evaluation import Assessment, evaluate, read_evaluation
from daftt_core.preflight import preflight, resolve
from daftt_core.records import Example, Prediction, SyntheticExample, read_jsonl
from daftt_core.reporting import write_report
from daftt_core.student import predict_test, train_arm
from daftt_core.synthesis import annotate, generate
from daftt_core.tasks import answer_prompts, load_task, prediction_code
from daftt_core.teacher import assess, train

WORDS = {
    "animal": ("ant", "bee", "cat", "dog"),
    "fruit": ("fig", "pear", "plum", "kiwi"),
    "metal": ("tin", "iron", "zinc", "lead"),
}
OTHERS = ("and", "the", "near", "some")
TASK: dict[str, Any] = {
    "id": "mentions",
    "kind": "multilabel",
    "description": "What kinds of things a text mentions.",
    "definition": "Say which kinds of things this text mentions.",
    "writing_definition": "Write a text that mentions these kinds of things.",
    "labels": [{"name": name, "verbalizer": name} for name in WORDS],
    "columns": {"text": "text", "output": "kinds", "separator": "|"},
}


def rows(count: int) -> list[dict[str, object]]:
    """Texts of four words, some with nothing of any kind; labels as lists or as texts."""
    rng, made = random.Random(0), {}
    while len(made) < count:
        kinds = [kind for kind in WORDS if rng.random() < 0.4]
        chosen = [rng.choice(WORDS[kind]) for kind in kinds]
        words = rng.sample([*chosen, *rng.sample(OTHERS, 4 - len(chosen))], 4)
        made[" ".join(words)] = kinds if len(made) % 2 else "|".join(kinds) or "none"
    return [{"text": text, "kinds": kinds} for text, kinds in made.items()]


def settings(folder: Path) -> Config:
    examples = rows(150)
    data = folder / "texts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in examples))
    file = folder / "mentions.yaml"
    file.write_text(yaml.safe_dump(TASK))
    texts = [str(row["text"]) for row in examples]
    prompts = [str(each) for each in answer_prompts(load_task(str(file)), Example.of("x"))]
    words = [str(TASK["writing_definition"]), "yes no none animal; fruit; metal"]
    tiny_gpt_neox(folder / "teacher", [*texts, *prompts, *words, "\n"])
    tiny_bert(folder / "student", texts)
    return from_flat(
        {
            "task": str(file),
            "output": str(folder / "runs"),
            "on_gate_fail": "continue",
            "data_train": str(data),
            "data_labelled_count": 16,
            "data_dev_count": 40,
            "data_dev_share": 0.25,
            "data_test_count": 40,
            "data_test_share": 0.25,
            "data_unlabelled_count": 40,
            "teacher_model": str(folder / "teacher"),
            "teacher_epochs": 1,
            "teacher_learning_rate": 5e-3,
            "synthesis_shards": 1,
            "synthesis_generate_count": 6,
            "synthesis_min_precision": 0.01,
            "synthesis_max_new_tokens": 8,
            "curation_min_characters": 0,
            "curation_keep_share": 1.0,
            "student_model": str(folder / "student"),
            "student_seeds": 2,
            "student_epochs": 1,
            "student_min_steps": 40,
            "student_learning_rate": 5e-3,
            "student_soft_labels": True,
            "student_patience": 100,
            "evaluation_bootstrap_samples": 200,
        }
    )


@pytest.mark.slow
def test_all_stages_and_what_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    config = settings(tmp_path)
    run = resolve(config)
    preflight(config)
    data = prepare(run, config.data)
    assert set(data.summary["labels"]["labelled"]) == set(WORDS)
    arms = {arm: train_arm(run, config.student, arm, data.digest) for arm in ("real", "gold")}
    teacher = train(run, config.teacher, data.digest)
    assessed = assess(
        run, config.teacher, config.synthesis, data.digest, teacher.digest, arms["real"].digest
    )
    text = (run.folder / assessed.name / "assessment.json").read_text()
    fitted = Assessment.model_validate_json(text).label_sets
    assert fitted is not None
    assert len(fitted.by_label) == len(fitted.thresholds) == 3

    asked = (data.digest, teacher.digest, assessed.digest)
    shards = [
        step(run, config.synthesis, config.student, 0, *asked) for step in (annotate, generate)
    ]
    annotated = read_jsonl(run.folder / shards[0].name / "examples.jsonl", SyntheticExample)
    assert len(annotated) == 40
    for one in annotated:
        assert run.task.allows(one.output or "")
        assert set(one.distribution) == set(WORDS)
        expected = run.task.probability_of(one.output or "", one.distribution)
        assert one.confidence == pytest.approx(expected)
    labelled = read_jsonl(run.folder / "data" / "labelled.jsonl", Example)
    written = read_jsonl(run.folder / shards[1].name / "examples.jsonl", SyntheticExample)
    assert {one.asked for one in written} <= {one.output for one in labelled}
    curated = curate(
        run,
        config.curation,
        data.digest,
        {shard.name: shard.digest for shard in shards},
        ["real+annotated"],
    )
    arms["real+annotated"] = train_arm(
        run, config.student, "real+annotated", data.digest, curated.digest
    )
    digests = {arm: result.digest for arm, result in arms.items()}
    predictions = predict_test(run, config.student, data.summary["test_digest"], digests)
    evaluate(run, config.evaluation, predictions.digest, digests)
    found = read_evaluation(run)
    assert found.metric == "example_f1"
    assert found.arm("gold").mean > found.arm("real").mean
    assert found.arm("gold").mean > 0.6
    for arm in found.arms:
        assert set(arm.per_class) == set(WORDS)
        assert set(arm.metrics) == {"example_f1", "subset_accuracy", "micro_f1", "label_f1"}
        assert not arm.confusion
        assert arm.reliability
        assert arm.comparison is None or arm.comparison.mcnemar_p is not None
    report = write_report(run)
    page = (run.folder / report.name / "report.html").read_text(encoding="utf-8")
    assert found.headline.removesuffix(".") in page
    assert "Precision, recall and F1 of each label" in page
    assert "true \\ answer" not in page

    exported = tmp_path / "exported"
    assert main(["export", run.uri, str(exported)]) == 0
    facts = json.loads((exported / "daftt.json").read_text())
    saved = json.loads((exported / "config.json").read_text())
    assert set(facts["label_thresholds"]) == set(WORDS)
    assert facts["label_thresholds"] == saved["label_thresholds"]
    assert saved["problem_type"] == "multi_label_classification"
    check_answers(run.folder, exported, found.chosen_arm, found.chosen.best_seed, tmp_path)

    code = prediction_code(
        run.task, str(exported), causal=False, max_length=64, max_target_length=8
    )
    program = tmp_path / "answer.py"
    program.write_text(code.replace("A text.", "some tin and plum"), encoding="utf-8")
    capsys.readouterr()
    chosen = runpy.run_path(str(program))["scores"]
    assert {each["label"] for each in chosen} == set(WORDS)
    assert sum(each["score"] for each in chosen) != pytest.approx(1)


def check_answers(run: Path, exported: Path, arm: str, seed: int, folder: Path) -> None:
    """``daftt predict`` answers the test inputs with the exported folder as they were measured."""
    tests = {one.id: one for one in read_jsonl(run / "test" / "test.jsonl", Example)}
    measured = {
        tests[one.id].text: one.output
        for one in read_jsonl(run / "predictions" / f"{arm}.jsonl", Prediction)
        if one.seed == seed
    }
    inputs, answers = folder / "inputs.csv", folder / "answers.csv"
    inputs.write_text("\n".join(["text", *measured]) + "\n")
    assert main(["predict", str(exported), str(inputs), "--out", str(answers)]) == 0
    with answers.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["text"]: row["kinds"] for row in rows} == measured
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)
