"""The model card, as the Hub's own library reads it."""

from __future__ import annotations

import re

import pytest
from huggingface_hub import ModelCard
from registry_runs import A, decision
from toy_task import TASK

from daftt_core.config import PromotionConfig, StudentConfig
from daftt_core.evaluation import metrics_for_task
from daftt_core.registry.card import write_card
from daftt_core.registry.models import Lineage
from daftt_core.tasks import Task

HOSTILE = "](javascript:x) <script>|\n---\nlicense: evil\n`x` \x1b[2J"


def card(task: Task, *, causal: bool = False, **changes: object) -> ModelCard:
    fields = {
        "version": A,
        "task": task,
        "run": "one",
        "uri": "/home/somebody/runs/one",
        "run_seed": 13,
        "arm": "real+both",
        "seed": 1,
        "training_examples": {"real": 64, "annotated": 900},
        "data": {"sha256": {"train": "ab" * 32}, "source": HOSTILE, "license": None},
        "test_digest": "0f" * 8,
        "settings": {"student_epochs": 2},
        "code": {"daftt": "0.1.0"},
        "images": {},
        "teacher": {"model": HOSTILE, "digest": "01"},
        "synthetic": {"curated": "02"},
        "stages": {},
        "student": StudentConfig(model="some-org/small-model@v2"),
        "promotion": PromotionConfig(),
    }
    lineage = Lineage.model_validate({**fields, **changes})
    scores = dict.fromkeys(metrics_for_task(task), 0.5)
    found = decision(A).model_copy(update={"scores": scores, "reason": HOSTILE})
    return ModelCard(write_card(lineage, found, causal=causal))


@pytest.mark.parametrize(
    ("kind", "causal", "loads"),
    [
        ("classification", False, 'pipeline("text-classification", model="this-folder")'),
        ("text2text", False, 'AutoModelForSeq2SeqLM.from_pretrained("this-folder")'),
        ("text2text", True, 'pipeline("text-generation", model="this-folder")'),
    ],
)
def test_the_card_says_what_it_is_and_how_good(kind: str, causal: bool, loads: str) -> None:
    labels = TASK["labels"] if kind == "classification" else []
    task = Task.model_validate({**TASK, "kind": kind, "labels": labels})
    found = card(task, causal=causal)
    assert found.data.base_model == "some-org/small-model"
    assert found.data.license == "unknown"
    assert {one.metric_value for one in found.data.eval_results} == {0.5}
    assert len(found.data.eval_results) == len(metrics_for_task(task))
    assert loads in found.text
    assert "/home/somebody" not in found.content


def test_the_license_is_one_that_the_hub_knows() -> None:
    student = StudentConfig(model="all-minilm-l6-v2")  # "Apache-2.0 (the model); MIT (its package)"
    assert card(Task.model_validate(TASK), student=student).data.license == "apache-2.0"


SOURCES = {
    "data": {"sha256": dict.fromkeys(("train", "dev", "test", "unlabelled"), "ab" * 32)},
    "synthetic": {
        "curated": "02",
        "synthetic/annotated-000-of-001": "03",
        "synthetic/generated-000-of-001": "04",
    },
}


@pytest.mark.parametrize(
    ("counts", "named", "digests"),
    [
        ({"real": 64}, ["data_train"], []),
        ({"real": 64, "annotated": 9}, ["data_train", "data_unlabelled"], ["02", "03"]),
        ({"real": 64, "generated": 9}, ["data_train"], ["02", "04"]),
    ],
)
def test_only_what_it_learned_from_is_named(
    counts: dict[str, int], named: list[str], digests: list[str]
) -> None:
    text = card(Task.model_validate(TASK), training_examples=counts, **SOURCES).text
    origins = text.partition("## What it learned from")[2].partition("## ")[0]
    assert re.findall(r"SHA-256 of `(\w+)`", origins) == named
    assert re.findall(r"Synthetic set `[^`]+`: digest `(\d+)`", origins) == digests
    assert ("Teacher:" in origins) == bool(digests)


def test_hostile_texts_are_no_markup() -> None:
    found = card(Task.model_validate({**TASK, "description": HOSTILE}))
    assert found.data.license == "unknown"
    assert "<script>" not in found.text.replace("\\<script\\>", "")
    assert "\x1b" not in found.content
    assert "\n---\nlicense: evil" not in found.text
