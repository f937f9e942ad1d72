"""One trainer for every kind of model: each is trained, saved, loaded plainly and asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_models
import torch
from safetensors.torch import load_file
from student_examples import (
    commit_examples,
    reversal_examples,
    reversal_task,
    sentiment_examples,
    sentiment_task,
    vocabulary,
)
from transformers import AutoModelForSequenceClassification

from daftt_core.config import StudentConfig
from daftt_core.errors import ModelError
from daftt_core.modeling import load_classifier, load_text_to_text, set_seeds
from daftt_core.modeling.loading import Template
from daftt_core.records import Example, Prediction, read_jsonl
from daftt_core.student import train_arm
from daftt_core.student.encoding import IGNORED, Reading, encode
from daftt_core.student.prediction import answer
from daftt_core.workspace import Run

LABELS = ["negative", "positive"]
CLASSIFIERS = ["bert", "roberta", "deberta", "modernbert", "bart", "t5"]
CAUSAL = ["gpt2", "llama", "gpt_neox"]
WRITERS = ["bart", "t5", *CAUSAL]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the tiny model of a kind, once."""
    root = tmp_path_factory.mktemp("kinds")

    def make(kind: str) -> Path:
        if not (root / kind).exists():
            getattr(tiny_models, f"tiny_{kind}")(root / kind, vocabulary())
        return root / kind

    return make


@pytest.mark.parametrize("kind", CLASSIFIERS + CAUSAL)
def test_a_start_from_memory_is_a_load_from_the_folder(
    kind: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    template = Template(tiny(kind), LABELS)
    starts = {}
    for seed in (3, 4, 3):
        set_seeds(seed)
        loaded, _ = load_classifier(tiny(kind), LABELS)
        set_seeds(seed)
        started = template.start()
        both = [model.state_dict() | dict(model.named_buffers()) for model in (loaded, started)]
        assert both[0].keys() == both[1].keys()
        assert all(torch.equal(both[0][key], both[1][key]) for key in both[0])
        starts[seed] = started
        with torch.no_grad():  # a student that is trained must not touch the next one's start
            for weight in started.parameters():
                weight.add_(1.0)
    loaded.save_pretrained(tmp_path / "loaded")
    template.start().save_pretrained(tmp_path / "started")
    configs = [
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("loaded", "started")
    ]
    assert configs[0] == configs[1]
    head = next(
        name for name, _ in loaded.named_parameters() if "score" in name or "classif" in name
    )
    assert not torch.equal(starts[3].get_parameter(head), starts[4].get_parameter(head))


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_start_with_other_labels_is_a_load_too(
    kind: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    model, tokenizer = load_classifier(tiny(kind), LABELS)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for labels in (LABELS, LABELS[::-1], ["a", "b", "c"]):
        template = Template(tmp_path, labels)
        set_seeds(5)
        loaded = load_classifier(tmp_path, labels)[0].state_dict()
        set_seeds(5)
        started = template.start().state_dict()
        assert all(torch.equal(loaded[key], started[key]) for key in loaded)


@pytest.mark.parametrize("kind", CLASSIFIERS + CAUSAL)
def test_every_kind_becomes_a_classifier(
    kind: str, tiny: Callable[[str], Path], run: Run, prepared: dict[str, str]
) -> None:
    config = StudentConfig(model=str(tiny(kind)), seeds=1, min_steps=3, batch_size=8, max_length=16)
    result = train_arm(run, config, "real", prepared["data"])
    folder = run.folder / "students" / "real" / "seed-0"
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    assert plain.config.id2label == {0: "negative", 1: "positive"}
    assert all(value.isfinite().all() for value in load_file(folder / "model.safetensors").values())
    assert len(result.summary["dev_scores"]) == 1


@pytest.mark.parametrize("kind", CLASSIFIERS + CAUSAL)
def test_padding_does_not_change_a_kinds_answer(kind: str, tiny: Callable[[str], Path]) -> None:
    set_seeds(0)
    model, tokenizer = load_classifier(tiny(kind), LABELS)
    reading = Reading.of(sentiment_task(), model, tokenizer, 16, 8)
    assert reading.forward == (kind in CAUSAL)
    examples = sentiment_examples(9)

    def ask(some: list[Example]) -> list[dict[str, float]]:
        questions = encode(tokenizer, reading, some, outputs=False)
        found = answer(model, tokenizer, reading, questions, lambda count: None)
        return [one.distribution for one in found]

    together = ask(examples)
    for index in (0, 4, 8):
        assert ask([examples[index]])[0] == pytest.approx(together[index], abs=2e-6)


@pytest.mark.parametrize("kind", WRITERS)
def test_written_answers_do_not_depend_on_their_company(
    kind: str, tiny: Callable[[str], Path]
) -> None:
    model, tokenizer = load_text_to_text(tiny(kind))
    reading = Reading.of(reversal_task(), model, tokenizer, 16, 4)
    assert reading.continues == (kind in CAUSAL)
    few = [*reversal_examples()[:3], Example.of("apple bread chair dance eagle")]

    def ask(some: list[Example]) -> list[str]:
        questions = encode(tokenizer, reading, some, outputs=False)
        return [one.output for one in answer(model, tokenizer, reading, questions, lambda n: None)]

    together = ask(few)
    assert together == [ask([one])[0] for one in few]
    assert all(len(one.split()) <= 4 for one in together)


@pytest.mark.parametrize("kind", ["t5", "llama", "gpt2"])
def test_every_kind_of_writer_is_trained(
    kind: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    learns = kind == "gpt2"  # the others' steps are only seen to be taken
    run = Run(uri=str(tmp_path), seed=5, task=reversal_task())
    examples = reversal_examples()
    data = commit_examples(run, "data", {"labelled": examples[:48], "dev": examples[48:]})
    config = StudentConfig(
        model=str(tiny(kind)),
        seeds=1,
        epochs=1,
        min_steps=160 if learns else 4,
        learning_rate=3e-3,
        batch_size=16,
        max_length=16,
        max_target_length=8,
        weight_decay=0.0,
    )
    trained = train_arm(run, config, "real", data.digest)
    assert trained.summary["kept_steps"] == [config.min_steps]
    found = read_jsonl(run.folder / "students" / "real" / "dev-predictions.jsonl", Prediction)
    right = sum(p.output == p.gold for p in found) / len(found)
    assert right >= (0.5 if learns else 0)  # by chance: one in 64


def test_a_causal_student_learns_its_output_and_not_its_input(tiny: Callable[[str], Path]) -> None:
    model, tokenizer = load_text_to_text(tiny("gpt2"))
    reading = Reading.of(reversal_task(), model, tokenizer, 16, 8)
    found = encode(
        tokenizer, reading, [Example.of("apple bread", output="bread apple")], outputs=True
    )
    (row,) = found.dataset.to_list()
    assert tokenizer.decode(row["input_ids"]) == "apple bread\nOutput: bread apple<|end|>"
    learned = [token for token in row["labels"] if token != IGNORED]
    assert tokenizer.decode(learned) == " bread apple<|end|>"
    assert row["labels"][-len(learned) :] == row["input_ids"][-len(learned) :]
    assert row["length"] == len(row["input_ids"]) == len(row["attention_mask"])


def test_a_long_input_of_a_causal_student_keeps_what_asks_for_the_output(
    tiny: Callable[[str], Path],
) -> None:
    model, tokenizer = load_text_to_text(tiny("gpt2"))
    reading = Reading.of(reversal_task(), model, tokenizer, 8, 8)
    found = encode(
        tokenizer, reading, [Example.of("apple bread chair dance eagle flute")], outputs=False
    )
    assert found.truncated["inputs"] == 1
    text = tokenizer.decode(found.dataset[0]["input_ids"])
    assert text.startswith("apple bread chair")
    assert text.endswith("\nOutput:")
    assert len(found.dataset[0]["input_ids"]) == 8


def test_both_texts_of_a_pair_are_kept_apart_for_a_causal_student(
    tiny: Callable[[str], Path],
) -> None:
    model, tokenizer = load_classifier(tiny("gpt2"), LABELS)
    reading = Reading.of(sentiment_task(), model, tokenizer, 16, 8)
    found = encode(
        tokenizer, reading, [Example.of("apple bread", text_pair="chair")], outputs=False
    )
    assert tokenizer.decode(found.dataset[0]["input_ids"]) == "apple bread\nchair"


def test_a_model_is_given_no_column_it_does_not_take(tiny: Callable[[str], Path]) -> None:
    for kind, takes in (("bert", True), ("t5", False), ("modernbert", False)):
        model, tokenizer = load_classifier(tiny(kind), LABELS)
        tokenizer.model_input_names = ["input_ids", "attention_mask", "token_type_ids"]
        reading = Reading.of(sentiment_task(), model, tokenizer, 16, 8)
        found = encode(tokenizer, reading, sentiment_examples(2), outputs=False)
        assert ("token_type_ids" in found.dataset.column_names) == takes


def test_a_causal_student_that_cannot_write_is_refused(tiny: Callable[[str], Path]) -> None:
    model, tokenizer = load_text_to_text(tiny("gpt2"))
    with pytest.raises(ModelError, match="takes in 256 tokens, and student"):
        Reading.of(reversal_task(), model, tokenizer, 16, 254)
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end token"):
        Reading.of(reversal_task(), model, tokenizer, 16, 8)
