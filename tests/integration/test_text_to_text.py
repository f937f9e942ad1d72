"""Every stage called as a function, on a text-to-text task: as from a notebook, without kfp."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest
import torch
import yaml
from tiny_models import tiny_bart, tiny_gpt_neox

from daftt_core.config import Config, from_flat
from daftt_core.curation import curate
from daftt_core.data import prepare
from daftt_core.evaluation import evaluate, read_evaluation
from daftt_core.preflight import preflight, resolve
from daftt_core.records import Example, SyntheticExample, read_jsonl
from daftt_core.reporting import write_report
from daftt_core.student import predict_test, train_arm
from daftt_core.synthesis import annotate, generate
from daftt_core.teacher import assess, train

WORDS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "koi", "lynx")
TASK = {
    "id": "swap-words",
    "kind": "text2text",
    "description": "Two words change places.",
    "definition": "Write the two words in the other order.",
    "writing_definition": "Write two words.",
    "columns": {"text": "words", "output": "swapped"},
}


def settings(folder: Path) -> Config:
    pairs = list(itertools.permutations(WORDS, 2))
    random.Random(0).shuffle(pairs)
    rows = [{"words": f"{a} {b}", "swapped": f"{b} {a}"} for a, b in pairs]
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = folder / "swap-words.yaml"
    task.write_text(yaml.safe_dump(TASK))
    texts = [" ".join(row.values()) for row in rows]
    prompts = [str(TASK["definition"]), str(TASK["writing_definition"])]
    tiny_gpt_neox(folder / "teacher", [*texts, *prompts, "Definition: Input: Output:\n"])
    tiny_bart(folder / "student", texts)
    return from_flat(
        {
            "task": str(task),
            "output": str(folder / "runs"),
            "on_gate_fail": "continue",
            "data_train": str(data),
            "data_labelled_count": 24,
            "data_dev_count": 10,
            "data_test_count": 20,
            "data_unlabelled_count": 40,
            "teacher_model": str(folder / "teacher"),
            "teacher_epochs": 6,
            "teacher_learning_rate": 5e-3,
            "synthesis_mode": "annotate",
            "synthesis_shards": 1,
            "synthesis_generate_count": 12,
            "synthesis_samples": 3,
            "synthesis_annotate_temperature": 0.5,
            "synthesis_demonstrations": 2,
            "synthesis_max_new_tokens": 8,
            "curation_min_characters": 0,
            "curation_keep_share": 1.0,
            "student_model": str(folder / "student"),
            "student_seeds": 2,
            "student_epochs": 1,
            "student_min_steps": 60,
            "student_learning_rate": 5e-3,
            "evaluation_bootstrap_samples": 200,
        }
    )


@pytest.mark.slow
def test_all_stages_from_python(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = settings(tmp_path)
    run = resolve(config)
    preflight(config)
    data = prepare(run, config.data)
    arms = {arm: train_arm(run, config.student, arm, data.digest) for arm in ("real", "gold")}
    teacher = train(run, config.teacher, data.digest)
    assessment = assess(
        run, config.teacher, config.synthesis, data.digest, teacher.digest, arms["real"].digest
    )
    assert assessment.summary["metric"] == "rougeL"
    asked = (teacher.digest, assessment.digest)
    shard = annotate(run, config.synthesis, config.student, 0, data.digest, *asked)
    written = generate(run, config.synthesis, config.student, 0, data.digest, *asked)
    for name, count in ((shard.name, 40), (written.name, 12)):
        made = read_jsonl(run.folder / name / "examples.jsonl", SyntheticExample)
        assert len(made) == count
        answered = [one for one in made if one.output is not None]
        assert all(one.problem is None and len(one.samples) == 3 for one in answered)
        assert all(one.problem for one in made if one.output is None)
        assert answered or name == written.name
        for one in answered:
            best = max(sample.agreement for sample in one.samples if sample.problem is None)
            assert one.confidence == best
            assert one.output in {sample.text for sample in one.samples}
    labelled = {one.id for one in read_jsonl(run.folder / "data" / "labelled.jsonl", Example)}
    assert all(len(one.shown) == 2 and labelled.issuperset(one.shown) for one in made)
    curated = curate(
        run, config.curation, data.digest, {shard.name: shard.digest}, ["real+annotated"]
    )
    arms["real+annotated"] = train_arm(
        run, config.student, "real+annotated", data.digest, curated.digest
    )
    digests = {arm: result.digest for arm, result in arms.items()}
    predictions = predict_test(run, config.student, data.summary["test_digest"], digests)
    evaluate(run, config.evaluation, predictions.digest, digests)
    found = read_evaluation(run)
    assert found.metric == "rougeL"
    assert found.arm("gold").mean > found.arm("real").mean > 0.2
    report = write_report(run)
    page = (run.folder / report.name / "report.html").read_text(encoding="utf-8")
    assert "swap-words" in page
    assert "For each input 3 texts were written" in page
    assert found.headline.removesuffix(".") in page
