"""The mixture that comes with DAFTT: real, varied and without mistakes of form."""

from __future__ import annotations

import datetime
import difflib
import itertools
import re
from collections import Counter

import pytest

from daftt_core.data.sni import SniTask
from daftt_core.data.task_sources import open_source
from daftt_core.records import normalize

NAMES = sorted(open_source("").names())
LABELS = {
    "headline_topic": {"business", "sport", "science", "health", "politics"},
    "product_remark": {"positive", "negative"},
    "same_meaning": {"yes", "no"},
}


def load(name: str) -> SniTask:
    return open_source("").read(name)[0]


def test_there_are_six_tasks() -> None:
    assert len(NAMES) == 6
    assert set(LABELS) < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_task_is_complete_and_of_one_form(name: str) -> None:
    task = load(name)
    assert len(task.instances) >= 40
    assert len(task.positive_examples) == 2
    assert task.license == ["CC0-1.0"]
    assert task.source == ["DAFTT"]
    assert set(task.languages) == {"English"}
    assert len(task.definition) == 1
    for one in [*task.instances, *task.positive_examples]:
        assert 15 <= len(one.input) <= 300
        assert len(one.output) == 1
        for text in (one.input, *one.output):
            assert text == text.strip()
            assert "  " not in text
            assert text.isascii()


@pytest.mark.parametrize("name", NAMES)
def test_no_two_inputs_are_alike(name: str) -> None:
    task = load(name)
    texts = [normalize(one.input) for one in [*task.instances, *task.positive_examples]]
    assert len(set(texts)) == len(texts)
    # texts stamped from one template would share nearly all of their letters
    for first, second in itertools.combinations(texts, 2):
        matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
        if matcher.real_quick_ratio() > 0.8 and matcher.quick_ratio() > 0.8:
            assert matcher.ratio() <= 0.8, (first, second)


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_balanced(name: str) -> None:
    task = load(name)
    found = Counter(one.output[0] for one in task.instances)
    assert set(found) == LABELS[name]
    assert len(set(found.values())) == 1
    assert all(label in task.instruction for label in found)


def test_dates_are_those_of_the_sentences() -> None:
    for one in load("date_of_a_sentence").instances:
        date = datetime.date.fromisoformat(one.output[0])
        words = one.input.casefold()
        assert str(date.year) in words
        assert re.search(rf"\b0?{date.day}(st|nd|rd|th)?\b", words) or "first" in words
        assert date.strftime("%b").casefold() in words or f"{date.month:02d}" in words
        weekday = re.search(r"\w+day\b", one.input)
        if weekday and weekday.group() in ("Friday", "Saturday", "Monday", "Tuesday", "Sunday"):
            assert date.strftime("%A") == weekday.group()


def test_answers_stand_in_their_passages() -> None:
    for one in load("answer_from_passage").instances:
        passage, question = one.input.split("\n")
        assert passage.startswith("Passage: ")
        assert question.startswith("Question: ")
        assert question.endswith("?")
        assert normalize(one.output[0]) in normalize(passage)


def test_corrections_change_little_but_something() -> None:
    for one in load("correct_the_grammar").instances:
        assert one.output[0] != one.input
        assert difflib.SequenceMatcher(None, one.input, one.output[0]).ratio() > 0.7
