"""A classifier as an ONNX file, checked to answer like the model it was exported from.

torch writes the file (``torch.onnx.export`` through ``torch.export``, which needs onnxscript) and
ONNX Runtime reads it. Both classify the same real texts, padded together and one by one, because
an export that has frozen a length or a batch size fails on one of these only.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from daftt_core.errors import ConfigError, ModelError
from daftt_core.modeling.loading import load_classifier

LOGIT_TOLERANCE = 1e-3
"""Largest difference of a logit between torch and ONNX Runtime, both in float32."""

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(
    folder: Path, label_names: Sequence[str], texts: Sequence[list[str]], max_length: int
) -> float:
    """Write ``model.onnx`` beside a classifier's weights.

    Its inputs are those of the model's tokenizer, int64 of shape [batch, tokens]; its output is
    ``logits``, float32 of shape [batch, labels].

    Args:
        folder: The model's folder.
        label_names: Its labels.
        texts: At least two real inputs to check it with, each one text or a pair.
        max_length: Greatest length of an input in tokens.

    Returns:
        The largest difference of a logit.

    Raises:
        ConfigError: A required package is not installed.
        ModelError: The model cannot be exported, or the file answers differently.
    """
    runtime = _runtime()
    model, tokenizer = load_classifier(folder, label_names)
    torch.nn.Module.to(model, torch.device("cpu"))

    def encode(batch: Sequence[list[str]]) -> dict[str, torch.Tensor]:
        columns = [list(column) for column in zip(*batch, strict=True)]
        return dict(
            tokenizer(
                *columns, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
            )
        )

    path = folder / "model.onnx"
    _write(model, encode(texts[:2]), path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = {node.name for node in session.get_inputs()}
    gaps = []
    for batch in (texts, *([text] for text in texts[:3])):
        inputs = encode(batch)
        with torch.inference_mode():
            expected = model(**inputs).logits
        arrays = {name: value.numpy() for name, value in inputs.items() if name in names}
        gaps.append(_gap(torch.from_numpy(session.run(["logits"], arrays)[0]), expected))
    worst = max(gaps)
    if worst > LOGIT_TOLERANCE:
        path.unlink()
        differs = f"differs from it by {worst:.2g} in a logit, more than {LOGIT_TOLERANCE:g}"
        if worst == math.inf:
            differs = "or the model itself gives logits that are NaN, infinite or of another shape"
        raise ModelError(f"{folder}: its ONNX file {differs}; it was removed")
    return worst


def _gap(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference of two tensors; infinite where they cannot be compared.

    NaN would not do: Python's ``max`` passes over it.
    """
    comparable = (
        logits.shape == expected.shape and (logits.isfinite() & expected.isfinite()).all().item()
    )
    return float((logits - expected).abs().max()) if comparable else math.inf


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401  (torch needs it)
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"an ONNX file needs the package {error.name}, which is not installed; install "
            f'{", ".join(_NEEDED)} with: pip install "daftt[onnx]"'
        ) from None
    return onnxruntime


def _write(model: torch.nn.Module, sample: dict[str, torch.Tensor], path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    try:
        with warnings.catch_warnings():  # of torch about its own insides
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (),
                str(path),
                kwargs=sample,
                input_names=list(sample),
                output_names=["logits"],
                dynamic_shapes={name: {0: batch, 1: tokens} for name in sample},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter has many, none of them common
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path.parent}: cannot be exported to ONNX: {reason}") from error
