"""What a student is asked to learn, in which order, and when it stops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight
from student_examples import (
    commit_examples,
    reversal_examples,
    reversal_task,
    sentiment_examples,
    sentiment_task,
)
from transformers import TrainerControl, TrainerState, TrainingArguments

from daftt_core.config import StudentConfig
from daftt_core.errors import ConfigError, TrainingError
from daftt_core.modeling import load_classifier, load_text_to_text, set_seeds
from daftt_core.records import Example, SyntheticExample
from daftt_core.student import train_arm
from daftt_core.student.encoding import Reading, encode
from daftt_core.student.lessons import InTurn, example_weights
from daftt_core.student.training import BestWeights, loss
from daftt_core.workspace import Run

LABELS = ["negative", "positive"]


def mixed() -> list[Example]:
    """Two real examples, then three that the teacher labelled."""
    real = [Example.of("a", output="positive"), Example.of("b", output="negative")]
    told = [("c", "positive", 0.9), ("d", "positive", 0.6), ("e", "positive", 0.5)]
    return real + [
        SyntheticExample(
            **Example.of(text, output=output).model_dump(),
            source="annotated",
            confidence=confidence,
            distribution={"positive": confidence, "negative": 1 - confidence},
        )
        for text, output, confidence in told
    ]


def test_class_weights_are_those_of_scikit_learn() -> None:
    found = example_weights(StudentConfig(example_weights="class"), mixed(), 2)
    outputs = [example.output for example in mixed()]
    assert found == pytest.approx(compute_sample_weight("balanced", outputs))


def test_confidence_and_real_weights_multiply_and_average_to_one() -> None:
    config = StudentConfig(example_weights="confidence", real_weight=2.0)
    found = np.array(example_weights(config, mixed(), 2))
    assert found.mean() == pytest.approx(1)
    assert found / found[2] * 0.9 == pytest.approx([2, 2, 0.9, 0.6, 0.5])
    assert example_weights(StudentConfig(), mixed(), 2) == [1.0] * 5


def batch(folder: Path, examples: list[Example]) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    set_seeds(0)
    model, tokenizer = load_classifier(folder, LABELS)
    reading = Reading.of(sentiment_task(), model, tokenizer, 16, 8)
    rows = encode(tokenizer, reading, examples, outputs=True).dataset.remove_columns("length")
    return model, dict(tokenizer.pad(rows.to_list(), return_tensors="pt"))


def test_without_weights_the_loss_is_the_models_own(bert: Path) -> None:
    model, inputs = batch(bert, sentiment_examples(6))
    own = model(**inputs).loss
    certain = torch.nn.functional.one_hot(inputs["labels"], 2).float()
    for weight, distribution in ((torch.ones(6), None), (None, certain)):
        found = loss(model, inputs, weight, distribution, continues=False)
        assert found.item() == pytest.approx(own.item(), rel=1e-6)


def test_an_example_that_counts_twice_is_as_good_as_two(bert: Path) -> None:
    examples = sentiment_examples(3)
    model, once = batch(bert, examples)
    weighted = loss(model, once, torch.tensor([1.5, 0.75, 0.75]), None, continues=False)
    _, twice = batch(bert, [examples[0], *examples])
    assert weighted.item() == pytest.approx(model(**twice).loss.item(), rel=1e-5)


def test_soft_labels_are_the_expected_loss_over_the_labels(bert: Path) -> None:
    model, inputs = batch(bert, sentiment_examples(1))
    hard = [model(**(inputs | {"labels": torch.tensor([label])})).loss.item() for label in (0, 1)]
    found = loss(model, inputs, None, torch.tensor([[0.3, 0.7]]), continues=False)
    assert found.item() == pytest.approx(0.3 * hard[0] + 0.7 * hard[1], rel=1e-5)


def test_weighted_texts_lose_what_the_model_says_when_all_count_the_same(bart: Path) -> None:
    model, tokenizer = load_text_to_text(bart)
    reading = Reading.of(reversal_task(), model, tokenizer, 16, 8)
    rows = encode(tokenizer, reading, reversal_examples()[:4], outputs=True).dataset.to_list()
    inputs = {
        name: torch.tensor([row[name] for row in rows])
        for name in ("input_ids", "attention_mask", "labels")
    }
    own = model(**inputs).loss.item()
    even = loss(model, inputs, torch.ones(4), None, continues=False)
    assert even.item() == pytest.approx(own, rel=1e-5)
    first = loss(model, inputs, torch.tensor([4.0, 0, 0, 0]), None, continues=False)
    alone = model(**{name: value[:1] for name, value in inputs.items()}).loss.item()
    assert first.item() == pytest.approx(alone, rel=1e-5)


def test_real_examples_come_after_the_others_in_batches_of_like_length() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(5, 50, 100)]
    order = list(InTurn(lengths, [(range(20, 100), 10), (range(20), 4)], 8, seed=3))
    assert sorted(order[:80]) == list(range(20, 100))
    assert set(order[80:]) == set(range(20))
    assert len(order) == 14 * 8
    batches = np.array(lengths)[np.array(order[:80]).reshape(10, 8)]
    assert np.ptp(batches, axis=1).mean() < np.ptp(lengths) / 2
    assert order == list(InTurn(lengths, [(range(20, 100), 10), (range(20), 4)], 8, seed=3))
    assert order != list(InTurn(lengths, [(range(20, 100), 10), (range(20), 4)], 8, seed=4))


def test_steps_of_both_parts_are_counted() -> None:
    together = StudentConfig(epochs=2, min_steps=10, batch_size=8)
    assert together.steps(16, 800) == 204
    in_turn = together.model_copy(update={"order": "real-last"})
    assert in_turn.steps(16, 800) == 200 + 10
    assert in_turn.steps(16) == together.steps(16) == 10


OPTIONS = [
    {"example_weights": "class"},
    {"example_weights": "confidence", "real_weight": 4.0},
    {"soft_labels": False},
    {"order": "real-last"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_each_option_changes_the_student(
    options: dict[str, object], run: Run, prepared: dict[str, str], config: StudentConfig
) -> None:
    told = [
        SyntheticExample(
            **example.model_dump(),
            source="annotated",
            confidence=confidence,
            distribution={"positive": confidence, "negative": 1 - confidence},
        )
        for example, confidence in zip(
            sentiment_examples(12, 201)[::2], (0.9, 0.6) * 3, strict=True
        )
    ]  # all of them positive
    digests = prepared["data"], commit_examples(run, "curated", {"annotated": told}).digest
    plain = train_arm(run, config, "real+annotated", *digests)
    other = config.model_copy(update=options)
    changed = train_arm(run, other, "real+annotated", *digests)
    assert changed.summary["train_losses"] != plain.summary["train_losses"]
    steps = {"together": 3, "real-last": 3 + 3}[other.order]
    assert changed.summary["steps"] == steps
    assert changed.summary["kept_steps"] == [steps] * 2


def test_weights_that_never_had_a_loss_are_not_given_back(
    tmp_path: Path, config: StudentConfig
) -> None:
    model, _ = load_classifier(config.model, LABELS)
    best = BestWeights(model, lambda: math.nan, every=1, patience=1)
    state, control = TrainerState(global_step=1, max_steps=9), TrainerControl()
    best.on_step_end(TrainingArguments(str(tmp_path)), state, control)
    assert control.should_training_stop
    with pytest.raises(TrainingError, match="loss on dev was never a number"):
        best.restore()


def test_training_stops_when_patience_is_out_and_keeps_the_best_weights(
    run: Run, config: StudentConfig
) -> None:
    labelled = sentiment_examples(32)
    turned = [
        example.model_copy(update={"output": LABELS[example.output == "negative"]})
        for example in sentiment_examples(20, 100)
    ]  # what is learned makes dev worse, so the first look is the best
    data = commit_examples(run, "data", {"labelled": labelled, "dev": turned})
    learning = config.model_copy(update={"min_steps": 60, "learning_rate": 3e-3, "seeds": 1})
    patient = learning.model_copy(update={"patience": 2, "dev_steps": 5})
    trained = train_arm(run, patient, "real", data.digest)
    (kept,) = trained.summary["kept_steps"]
    assert trained.summary["steps"] == 60
    assert kept < 60
    weights = (run.folder / "students" / "real" / "seed-0" / "model.safetensors").read_bytes()
    # The same training looked at more patiently passes the same best step.
    again = train_arm(run, patient.model_copy(update={"patience": 50}), "real", data.digest)
    assert again.summary["kept_steps"] == [kept]
    path = run.folder / "students" / "real" / "seed-0" / "model.safetensors"
    assert path.read_bytes() == weights


def test_what_needs_labels_is_refused_for_texts(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path), seed=5, task=reversal_task())
    with pytest.raises(ConfigError, match="student_example_weights: class needs a classification"):
        train_arm(run, StudentConfig(example_weights="class"), "real", "")
    StudentConfig(example_weights="confidence").check_task(is_classification=False)
