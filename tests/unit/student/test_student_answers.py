from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from student_examples import reversal_task, sentiment_examples, sentiment_task
from tiny_models import tiny_bert

from daftt_core.errors import DataError, ModelError
from daftt_core.modeling import load_classifier, load_text_to_text, set_seeds
from daftt_core.records import Example
from daftt_core.student.encoding import Reading, encode
from daftt_core.student.prediction import Answer, answer

LABELS = ["negative", "positive"]
CLASSIFYING = Reading(sentiment_task(), False, 16, 8)


def ask(folder: Path, examples: list[Example], counted: list[int] | None = None) -> list[Answer]:
    set_seeds(0)
    model, tokenizer = load_classifier(folder, LABELS)
    questions = encode(tokenizer, CLASSIFYING, examples, outputs=False)
    return answer(model, tokenizer, CLASSIFYING, questions, (counted or []).append)


def test_an_answer_does_not_depend_on_its_company(bert: Path) -> None:
    examples = sentiment_examples(70)  # two batches, of different lengths
    together = ask(bert, examples)
    assert len({len(example.text.split()) for example in examples}) > 5
    for index in (0, 33, 69):
        (alone,) = ask(bert, [examples[index]])
        assert alone.output == together[index].output
        assert alone.distribution == pytest.approx(together[index].distribution, abs=2e-6)


def test_answers_come_in_the_order_of_the_examples(bert: Path) -> None:
    examples = sentiment_examples(9)
    assert ask(bert, examples[::-1]) == ask(bert, examples)[::-1]


def test_progress_is_told_of_every_example(bert: Path) -> None:
    counted = [0]
    ask(bert, sentiment_examples(70), counted)
    assert sum(counted) == 70


def test_long_texts_lose_their_end_and_are_counted(bert: Path) -> None:
    _, tokenizer = load_classifier(bert, LABELS)
    examples = [
        Example.of("apple bread chair dance eagle flute", output="positive"),
        Example.of("apple bread chair dance", output="negative"),
    ]
    found = encode(tokenizer, replace(CLASSIFYING, max_length=6), examples, outputs=True)
    assert found.truncated == {"inputs": 1, "outputs": 0}
    assert found.dataset["length"][:] == [6, 6]
    assert found.dataset["labels"][:] == [1, 0]
    cut = tokenizer.decode(found.dataset["input_ids"][0])
    assert cut == "[CLS] apple bread chair dance [SEP]"


def test_long_outputs_are_cut_and_counted(bart: Path) -> None:
    _, tokenizer = load_text_to_text(bart)
    examples = [Example.of("apple", output="apple bread chair dance"), Example.of("b", output="a")]
    found = encode(tokenizer, Reading(reversal_task(), False, 16, 5), examples, outputs=True)
    assert found.truncated == {"inputs": 0, "outputs": 1}
    assert len(found.dataset["labels"][0]) == 5


def test_both_texts_of_a_pair_are_read(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, ["apple bread chair"])
    _, tokenizer = load_classifier(folder, LABELS)
    pair = Example.of("apple bread", text_pair="chair", output="positive")
    found = encode(tokenizer, CLASSIFYING, [pair], outputs=False)
    words = tokenizer.decode(found.dataset["input_ids"][0]).split()
    assert words == ["[CLS]", "apple", "bread", "[SEP]", "chair", "[SEP]"]


@pytest.mark.parametrize("output", [None, "neutral"])
def test_an_output_that_is_no_label_is_refused(bert: Path, output: str | None) -> None:
    _, tokenizer = load_classifier(bert, LABELS)
    with pytest.raises(DataError, match=rf"its output is {output!r} \(allowed: negative, positive"):
        encode(tokenizer, CLASSIFYING, [Example.of("apple", output=output)], outputs=True)


def test_scores_that_are_no_numbers_are_no_label(bert: Path) -> None:
    set_seeds(0)
    model, tokenizer = load_classifier(bert, LABELS)
    questions = encode(tokenizer, CLASSIFYING, sentiment_examples(2), outputs=False)
    torch.nn.init.constant_(model.get_parameter("classifier.bias"), math.nan)
    with pytest.raises(ModelError, match="the student's scores are no numbers"):
        answer(model, tokenizer, CLASSIFYING, questions, [].append)


def test_scores_that_are_no_numbers_are_no_text(bart: Path) -> None:
    model, tokenizer = load_text_to_text(bart)
    reading = Reading(reversal_task(), False, 16, 8)
    questions = encode(tokenizer, reading, [Example.of("apple", output="b")], outputs=False)
    assert len(answer(model, tokenizer, reading, questions, [].append)) == 1
    torch.nn.init.constant_(next(model.parameters()), math.nan)
    with pytest.raises(ModelError, match="the student's scores are no numbers"):
        answer(model, tokenizer, reading, questions, [].append)
