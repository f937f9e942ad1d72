"""Students of the labels alone: fine-tuned, or by contrast of inputs; dev takes the better."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from student_examples import commit_examples, sentiment_examples

from daftt_core.config import StudentConfig
from daftt_core.records import Prediction, read_jsonl
from daftt_core.stages import STUDENTS
from daftt_core.student import train_arm
from daftt_core.student.contrastive import _batches, _contrast, fit_head
from daftt_core.workspace import Run


def test_the_loss_is_the_formula_of_its_paper() -> None:
    rng = np.random.default_rng(1)
    vectors, labels = rng.normal(size=(6, 4)), [0, 0, 1, 1, 1, 0]
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = 0.0
    for i in range(6):
        others = [a for a in range(6) if a != i]
        total = sum(math.exp(units[i] @ units[a] / 0.1) for a in others)
        positives = [p for p in others if labels[p] == labels[i]]
        shares = [math.log(math.exp(units[i] @ units[p] / 0.1) / total) for p in positives]
        expected -= sum(shares) / len(positives) / 6
    loss = _contrast(torch.tensor(vectors), torch.tensor(labels))
    assert loss.item() == pytest.approx(expected)


def test_the_head_is_sklearns_logistic_regression() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 90)
    vectors = rng.normal(size=(90, 5)) + np.eye(3, 5)[labels]
    length = np.linalg.norm(vectors, axis=1).mean()
    layer = torch.nn.Linear(5, 3, dtype=torch.float64)
    fit_head(layer, torch.tensor(vectors), torch.tensor(labels))
    reference = LogisticRegression(C=10, tol=1e-10, max_iter=10_000).fit(vectors / length, labels)
    with torch.inference_mode():
        probs = layer(torch.tensor(vectors)).softmax(dim=1).numpy()
    assert probs == pytest.approx(reference.predict_proba(vectors / length), abs=1e-4)


def test_an_input_that_is_alone_with_its_label_counts_as_another_only() -> None:
    rng = np.random.default_rng(1)
    vectors = torch.tensor(rng.normal(size=(4, 3)))
    three = _contrast(vectors, torch.tensor([0, 0, 0, 1]))
    units = torch.nn.functional.normalize(vectors, dim=1)
    shares = (units @ units.T / 0.1).masked_fill(torch.eye(4, dtype=torch.bool), -math.inf)
    log_shares = shares.log_softmax(dim=1)
    expected = -sum(log_shares[i, j] for i in range(3) for j in range(3) if i != j) / 2 / 3
    assert three.item() == pytest.approx(float(expected))
    assert _contrast(vectors, torch.tensor([0, 1, 2, 3])).item() == 0


@pytest.mark.parametrize("examples", [5, 32, 50])
def test_each_pass_has_every_example_once(examples: int) -> None:
    drawn = _batches(examples, seed=3)
    size = min(32, examples)
    order = [index for _ in range(2 * examples) for index in next(drawn)]
    assert sorted(order[:examples]) == list(range(examples))
    assert sorted(order[examples : 2 * examples]) == list(range(examples))
    assert order[:examples] != order[examples : 2 * examples]
    assert len(next(drawn)) == size


def stage(run: Run, config: StudentConfig, dev: int = 120) -> tuple[Path, str]:
    examples = {"labelled": sentiment_examples(24), "dev": sentiment_examples(dev, 100)}
    return run.folder / "students" / "real", commit_examples(run, "data", examples).digest


def scores(folder: Path) -> float:
    answers = read_jsonl(folder / "dev-predictions.jsonl", Prediction)
    return sum(one.output == one.gold for one in answers) / len(answers)


def test_dev_takes_the_better_way_and_the_other_leaves_nothing(
    run: Run, config: StudentConfig
) -> None:
    best = config.model_copy(update={"baseline": "best", "learning_rate": 2e-3})
    folder, data = stage(run, best)
    result = STUDENTS.parse(train_arm(run, best, "real", data).summary, "")
    assert result.tried is not None
    assert result.tried["contrastive"] > result.tried["plain"]  # of three steps
    assert result.way == "contrastive"
    assert result.steps == 40
    assert np.mean(result.dev_scores) == pytest.approx(result.tried["contrastive"])
    assert scores(folder) == pytest.approx(result.tried["contrastive"])
    assert sorted(each.name for each in folder.iterdir() if each.is_dir()) == [
        "embeddings",
        "seed-0",
        "seed-1",
    ]


def test_an_arm_that_was_interrupted_while_students_were_taken_goes_on(
    run: Run, config: StudentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = config.model_copy(update={"baseline": "best", "learning_rate": 2e-3})
    _, data = stage(run, best)
    replace = Path.replace
    trained: dict[str, float] = {}

    def stop_at_the_second(self: Path, target: Path) -> Path:
        if self.name == "seed-1" and self.parent.name == "contrastive":
            for seed in (self.parent.parent / "seed-0", self):
                trained[seed.name] = (seed / "model.safetensors").stat().st_mtime
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        train_arm(run, best, "real", data)
    monkeypatch.undo()
    train_arm(run, best, "real", data)
    folder = run.folder / "students" / "real"
    assert len(trained) == 2
    for name, moment in trained.items():
        assert (folder / name / "model.safetensors").stat().st_mtime == moment


def test_where_dev_is_small_the_labels_are_cross_validated(
    run: Run, config: StudentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daftt_core.student import seeds

    asked: list[int] = []

    class Watched(seeds.Questions):
        def __init__(self, task: object, config: object, examples: list[object]) -> None:
            asked.append(len(examples))
            super().__init__(task, config, examples)  # type: ignore[arg-type]

    monkeypatch.setattr(seeds, "Questions", Watched)
    best = config.model_copy(update={"baseline": "best", "seeds": 1, "learning_rate": 2e-3})
    folder, data = stage(run, best, dev=10)
    result = STUDENTS.parse(train_arm(run, best, "real", data).summary, "")
    assert asked == [10, 6, 6, 6, 6] * 2  # dev, then each quarter of 24 labels, by each way
    assert result.tried is not None
    assert sorted(each.name for each in folder.iterdir() if each.is_dir()) == [
        "embeddings",
        "seed-0",
    ]


def test_a_way_can_be_chosen(run: Run, config: StudentConfig) -> None:
    contrastive = config.model_copy(update={"baseline": "contrastive", "learning_rate": 2e-3})
    folder, data = stage(run, contrastive)
    one = STUDENTS.parse(train_arm(run, contrastive, "real", data).summary, "")
    assert (one.way, one.tried) == ("contrastive", None)
    assert scores(folder) > 0.8
    assert all(math.isfinite(first - second) for first, second in pairwise(one.train_losses))
