"""The check of an ONNX file: one number that is none, anywhere, and the file is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import tiny_bert

from daftt_core.errors import ModelError
from daftt_core.modeling import load_classifier, onnx_export, save_model, set_seeds
from daftt_core.modeling.onnx_export import export_onnx

LABELS = ["bad", "good"]
TEXTS = [["a b c"], ["c"], ["b a"], ["a"]]
BATCHES = 4  # all texts, then three alone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    set_seeds(0)
    save_model(*load_classifier(tiny_bert(folder / "bert", ["a b c"]), LABELS), folder / "model")
    return folder / "model"


def use_runtime(
    monkeypatch: pytest.MonkeyPatch, folder: Path, change: Callable[[int, Any], Any]
) -> None:
    """In place of ONNX Runtime the model itself, with the logits of each batch changed."""
    model, _ = load_classifier(folder, LABELS)
    model.to("cpu")
    numbers = iter(range(100))

    class Session:
        def __init__(self, path: str, providers: list[str]) -> None:
            assert Path(path).is_file()

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask")]

        def run(self, outputs: list[str], fed: dict[str, Any]) -> list[Any]:
            with torch.inference_mode():
                logits = model(**{name: torch.from_numpy(one) for name, one in fed.items()}).logits
            return [change(next(numbers), logits.numpy().copy())]

    monkeypatch.setattr(onnx_export, "_runtime", lambda: SimpleNamespace(InferenceSession=Session))
    monkeypatch.setattr(onnx_export, "_write", lambda model, sample, path: path.touch())


def test_equal_logits_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_runtime(monkeypatch, folder, lambda number, logits: logits + 1e-5 * (number == 1))
    assert export_onnx(folder, LABELS, TEXTS, 16) == pytest.approx(1e-5, rel=0.1)
    assert (folder / "model.onnx").is_file()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_one_logit_that_is_no_number_is_enough(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: float, batch: int
) -> None:
    def change(place: int, logits: Any) -> Any:
        logits[-1, -1] = number if place == batch else logits[-1, -1]
        return logits

    use_runtime(monkeypatch, folder, change)
    with pytest.raises(ModelError, match="logits that are NaN, infinite or of another shape"):
        export_onnx(folder, LABELS, TEXTS, 16)
    assert not (folder / "model.onnx").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda logits: logits + 0.01, r"differs from it by 0\.01 in a logit, more than 0\.001"),
        (lambda logits: logits[:, :1], "of another shape"),
        (lambda logits: logits[:, :0], "of another shape"),
    ],
)
def test_other_logits_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], said: str
) -> None:
    use_runtime(monkeypatch, folder, lambda number, logits: change(logits) if number else logits)
    with pytest.raises(ModelError, match=said):
        export_onnx(folder, LABELS, TEXTS, 16)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_model_whose_own_logits_are_no_numbers_is_refused_though_the_file_agrees(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    model, tokenizer = load_classifier(folder, LABELS)
    with torch.no_grad():
        model.get_parameter("classifier.bias")[0] = number
    save_model(model, tokenizer, tmp_path)
    use_runtime(monkeypatch, tmp_path, lambda _, logits: np.asarray(logits))
    with pytest.raises(ModelError, match="NaN, infinite"):
        export_onnx(tmp_path, LABELS, TEXTS, 16)
