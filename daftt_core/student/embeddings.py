"""A regression on embeddings: what a student's model makes of texts before it is trained at all.

It is the cheapest opinion about labels that there is, and of a pair often the best: a small model
that reads both texts together has to learn from few labels what it means that they belong together,
while embeddings made by a sentence transformer say at once how alike they are (N. Reimers and I.
Gurevych 2019, "Sentence-BERT", arXiv 1908.10084, whose features for pairs these are).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.errors import ModelError
from daftt_core.modeling import Template, context_length, load_classifier, save_model
from daftt_core.modeling.pooling import features, mean_at_once
from daftt_core.records import Example
from daftt_core.student.contrastive import fit_head
from daftt_core.student.prediction import in_batches
from daftt_core.tasks import Task
from daftt_core.telemetry import count_tokens

EMBEDDINGS = "embeddings"
"""The regression's folder in the stage of the students of the labels alone."""

_WEIGHTS, _MAX_LENGTH = "regression.safetensors", "max_length"
_COSINE_GAIN = 5.0  # the penalty weighs all features alike, and this one says most


class EmbeddingRegression:
    """Logistic regression on the embeddings of an input's text, or of its two texts.

    Args:
        model: The encoder, with mean pooling.
        tokenizer: Its tokenizer.
        task: A task whose inputs have one label each.
        max_length: Greatest length of a text in tokens.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        max_length: int,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._max_length = min(max_length, context_length(model, tokenizer) or max_length)
        self._paired = task.columns.text_pair is not None
        size = int(model.config.hidden_size)
        self._layer = nn.Linear(1 + 2 * size if self._paired else size, len(task.label_names))

    @classmethod
    def fit(
        cls, template: Template, task: Task, examples: Sequence[Example], max_length: int
    ) -> EmbeddingRegression:
        """Fit a regression on labelled examples.

        Args:
            template: The students' model, with mean pooling.
            task: A task whose inputs have one label each.
            examples: At least one.
            max_length: Greatest length of a text in tokens.
        """
        fitted = cls(template.start(), template.tokenizer, task, max_length)
        labels = [task.label_names.index(example.output or "") for example in examples]
        fit_head(fitted._layer, fitted._features(examples).double(), torch.tensor(labels))
        return fitted

    @classmethod
    def load(cls, folder: Path, task: Task) -> EmbeddingRegression:
        """Load what :meth:`save` has written.

        Raises:
            ModelError: The folder is damaged.
        """
        model, tokenizer = load_classifier(folder, task.label_names, trained=True)
        try:
            with safe_open(folder / _WEIGHTS, "pt") as file:
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                max_length = int(file.metadata()[_MAX_LENGTH])
            loaded = cls(model, tokenizer, task, max_length)
            loaded._layer.load_state_dict(weights)
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise ModelError(f"{folder / _WEIGHTS}: cannot be read: {error}") from None
        return loaded

    def save(self, folder: Path) -> None:
        """Write the encoder and the regression.

        Raises:
            StorageError: The weights could not be written.
        """
        save_model(self._model, self._tokenizer, folder)
        save_file(self._layer.state_dict(), folder / _WEIGHTS, {_MAX_LENGTH: str(self._max_length)})

    def log_probs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return the log-probability of every label, of shape [examples, labels]."""
        with torch.inference_mode():
            scores = self._layer(self._features(examples)).log_softmax(-1)
        return np.asarray(scores.double().numpy())

    def _features(self, examples: Sequence[Example]) -> Tensor:
        """Return what the regression reads: embeddings, or of a pair how they differ."""
        first = self._embed([example.text for example in examples])
        if not self._paired:
            return first
        second = self._embed([example.text_pair or "" for example in examples])
        cosine = _COSINE_GAIN * (first * second).sum(dim=1, keepdim=True)
        return torch.cat([cosine, (first - second).abs(), first * second], dim=1)

    def _embed(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of texts, each of length 1, of shape [texts, size]."""
        rows = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._max_length,
            return_token_type_ids=False,  # some tokenizers give them to models that take none
        )
        lengths = [len(ids) for ids in rows["input_ids"]]
        found = torch.empty(len(texts), int(self._model.config.hidden_size))
        with torch.inference_mode(), mean_at_once(self._model):
            for batch in in_batches(lengths):
                inputs = self._tokenizer.pad(
                    {name: [column[index] for index in batch] for name, column in rows.items()},
                    return_tensors="pt",
                    padding_side="right",
                ).to(self._model.device)
                found[batch] = features(self._model, dict(inputs)).float().cpu()
        count_tokens(read=sum(lengths))
        return normalize(found, dim=1)
