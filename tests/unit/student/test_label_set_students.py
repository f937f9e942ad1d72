"""Students of sets of labels: what they lose, and how their answers to dev are judged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from sklearn.metrics import log_loss

from daftt_core.records import Prediction, seed_for
from daftt_core.student.thresholds import decide_again
from daftt_core.student.training import loss
from daftt_core.tasks import load_task
from daftt_core.workspace import Run

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])


class Fixed(torch.nn.Module):
    """Gives the same logits to whatever it reads."""

    def forward(self, labels: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=LOGITS)


def lost(weight: torch.Tensor | None, distribution: torch.Tensor | None) -> float:
    held = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    return float(loss(Fixed(), {"labels": held}, weight, distribution, continues=False))


def test_the_loss_is_the_mean_of_each_labels_own() -> None:
    truth = [1, 0, 1, 0, 1, 1]
    expected = log_loss(truth, LOGITS.sigmoid().flatten().tolist())
    assert lost(None, None) == pytest.approx(expected, rel=1e-5)
    weighted = torch.tensor([2.0, 0.0])
    first = log_loss(truth[:3], LOGITS[0].sigmoid().tolist())
    assert lost(weighted, None) == pytest.approx(first, rel=1e-5)


def test_soft_labels_are_the_expected_loss() -> None:
    yes, no = (lost(None, torch.full((2, 3), value)) for value in (1.0, 0.0))
    assert lost(None, torch.full((2, 3), 0.3)) == pytest.approx(0.3 * yes + 0.7 * no, rel=1e-5)


def test_no_half_of_dev_is_judged_with_thresholds_that_it_chose() -> None:
    run = Run(uri="unused", seed=3, task=load_task("word-classes"))
    half = {str(n): seed_for(3, "calibration", str(n)) % 2 for n in range(60)}
    rare = {"verb": 0.1, "adjective": 0.1, "adverb": 0.1}

    def answer(id_: str, noun: float, gold: str) -> Prediction:
        distribution = {"noun": noun} | rare
        return Prediction(
            id=id_, arm="real", seed=0, gold=gold, output="none", distribution=distribution
        )

    # nouns have 0.8 in one half and 0.2 in the other; what is no noun has half of that
    high = [0.8 if side else 0.2 for side in half.values()]
    answers = [
        answer(id_, level / (1 + int(id_) % 2), "none" if int(id_) % 2 else "noun")
        for id_, level in zip(half, high, strict=True)
    ]
    decided = {each.id: each.output for each in decide_again(run, answers)}
    assert decided == {id_: "noun" if side else "none" for id_, side in half.items()}
