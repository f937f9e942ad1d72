"""The regression on embeddings against sentence embeddings made by hand, and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from student_examples import commit_examples, sentiment_examples, sentiment_task
from transformers import AutoModel, AutoTokenizer

from daftt_core.config import StudentConfig
from daftt_core.errors import ModelError
from daftt_core.modeling import Template
from daftt_core.records import Example
from daftt_core.student import EMBEDDINGS, EmbeddingRegression, train_arm
from daftt_core.tasks import Task
from daftt_core.tasks.task import Columns
from daftt_core.workspace import Run

LABELS = ["negative", "positive"]


def paired_task() -> Task:
    return sentiment_task().model_copy(
        update={"columns": Columns(text="first", text_pair="second", output="label")}
    )


def pairs(count: int) -> list[Example]:
    """Pairs that are positive where both texts hold the same word."""
    texts = [example.text for example in sentiment_examples(count)]
    return [
        Example.of(text, text if index % 2 else texts[index - 1], LABELS[index % 2])
        for index, text in enumerate(texts)
    ]


def fit(model: str, task: Task, examples: list[Example], most: int = 64) -> EmbeddingRegression:
    template = Template(model, task.label_names, mean_pooling=True)
    assert template.pooled
    return EmbeddingRegression.fit(template, task, examples, most)


def sentence_embeddings(model: str, texts: list[str]) -> NDArray[np.float64]:
    """Means over the tokens, through a layer norm and a nearly straight tanh, of length 1."""
    tokenizer, encoder = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model)
    found = []
    for text in texts:
        with torch.inference_mode():
            hidden = encoder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = torch.nn.functional.layer_norm(hidden.mean(dim=0), hidden.shape[-1:])
        found.append(torch.tanh(0.3 * mean).double().numpy())
    return np.array([each / np.linalg.norm(each) for each in found])


def reference() -> LogisticRegression:
    """Of two labels it has one vector, whose penalty is half that of a vector for each."""
    return LogisticRegression(C=2 * 10, tol=1e-10, max_iter=10_000)


def scaled(features: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    return features / np.linalg.norm(by, axis=1).mean()


def test_of_single_texts_it_is_sklearns_on_mean_embeddings(config: StudentConfig) -> None:
    known, asked = sentiment_examples(24), sentiment_examples(30, 100)
    found = fit(config.model, sentiment_task(), known).log_probs(asked)
    first = sentence_embeddings(config.model, [one.text for one in known])
    second = sentence_embeddings(config.model, [one.text for one in asked])
    peer = reference().fit(scaled(first, first), [one.output for one in known])
    expected = peer.predict_proba(scaled(second, first))
    np.testing.assert_allclose(np.exp(found), expected, atol=0.01)
    assert np.std(expected[:, 0]) > 0.05


def test_of_pairs_it_sees_how_alike_the_texts_are(config: StudentConfig) -> None:
    known, asked = pairs(24), pairs(60)[24:]
    found = fit(config.model, paired_task(), known).log_probs(asked)

    def features(examples: list[Example]) -> NDArray[np.float64]:
        first = sentence_embeddings(config.model, [one.text for one in examples])
        second = sentence_embeddings(config.model, [str(one.text_pair) for one in examples])
        cosine = 5 * (first * second).sum(axis=1, keepdims=True)
        return np.hstack([cosine, abs(first - second), first * second])

    peer = reference().fit(scaled(features(known), features(known)), [one.output for one in known])
    expected = peer.predict_proba(scaled(features(asked), features(known)))
    np.testing.assert_allclose(np.exp(found), expected, atol=0.01)
    right = [LABELS[index] == one.output for index, one in zip(found.argmax(1), asked, strict=True)]
    assert np.mean(right) > 0.9


def test_saved_and_loaded_it_says_the_same(config: StudentConfig, tmp_path: Path) -> None:
    fitted = fit(config.model, paired_task(), pairs(24), most=5)
    fitted.save(tmp_path / "here")
    loaded = EmbeddingRegression.load(tmp_path / "here", paired_task())
    asked = pairs(40)[24:]
    np.testing.assert_array_equal(loaded.log_probs(asked), fitted.log_probs(asked))
    cut = [one.model_copy(update={"text": " ".join(one.text.split()[:3])}) for one in asked[:4]]
    long = [one.model_copy(update={"text": f"{one.text} and more"}) for one in cut]
    assert len(cut[0].text.split()) == 3  # and two special tokens
    np.testing.assert_allclose(loaded.log_probs(cut), loaded.log_probs(long), atol=1e-6)


def test_a_damaged_file_is_named(config: StudentConfig, tmp_path: Path) -> None:
    fit(config.model, sentiment_task(), sentiment_examples(24)).save(tmp_path)
    with pytest.raises(ModelError, match=r"regression\.safetensors: cannot be read"):
        EmbeddingRegression.load(tmp_path, paired_task())  # fitted on single texts
    (tmp_path / "regression.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match=r"regression\.safetensors: cannot be read"):
        EmbeddingRegression.load(tmp_path, sentiment_task())


def test_the_labels_alone_have_one_beside_their_students(run: Run, config: StudentConfig) -> None:
    examples = {"labelled": sentiment_examples(24), "dev": sentiment_examples(30, 100)}
    data = commit_examples(run, "data", examples).digest
    train_arm(run, config, "real", data)
    folder = run.folder / "students" / "real" / EMBEDDINGS
    stored = EmbeddingRegression.load(folder, run.task)
    again = fit(config.model, run.task, examples["labelled"], config.max_length)
    np.testing.assert_array_equal(
        stored.log_probs(examples["dev"]), again.log_probs(examples["dev"])
    )
