from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from student_examples import (
    commit_examples,
    sentiment_examples,
    sentiment_task,
    synthetic,
    vocabulary,
)
from tiny_models import tiny_bart, tiny_bert

from daftt_core.config import StudentConfig
from daftt_core.workspace import Run


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    monkeypatch.setenv("DAFTT_LOOP_WIDTH", "64")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"), vocabulary())


@pytest.fixture(scope="session")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bart(tmp_path_factory.mktemp("bart"), vocabulary())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(uri=str(tmp_path / "run"), seed=13, task=sentiment_task())


@pytest.fixture
def prepared(run: Run) -> dict[str, str]:
    """Digests of small ``data``, ``test`` and ``curated`` stages of the sentiment task."""
    data = {
        "labelled": sentiment_examples(16),
        "dev": sentiment_examples(10, 100),
        "gold": sentiment_examples(12, 200),
    }
    curated = {
        "annotated": synthetic(sentiment_examples(8, 200), "annotated"),
        "generated": synthetic(sentiment_examples(6, 300), "generated"),
    }
    return {
        "data": commit_examples(run, "data", data).digest,
        "test": commit_examples(run, "test", {"test": sentiment_examples(14, 400)}).digest,
        "curated": commit_examples(run, "curated", curated).digest,
    }


@pytest.fixture
def config(bert: Path) -> StudentConfig:
    """Two students of a tiny encoder, three steps each."""
    return StudentConfig(
        model=str(bert),
        baseline="plain",
        seeds=2,
        epochs=1,
        min_steps=3,
        batch_size=8,
        max_length=16,
    )
