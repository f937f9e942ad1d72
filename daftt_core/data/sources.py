"""The data sets that built-in tasks bring with them."""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from daftt_core.data.rows import Row, Source, drop_duplicates
from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import Example
from daftt_core.storage.assets import fetch
from daftt_core.tasks import Task

_CLEAR_RATING = 0.8
_WORD_CLASSES = ("noun", "verb", "adj", "adv")
_PLAIN_WORD = re.compile(r"[a-z]+")


def own_source(task: Task) -> Source:
    """Read the data that a task names as its source; fetches it where needed.

    Raises:
        DataError: The task names none, or one that is not known.
        StorageError: It cannot be fetched.
    """
    if task.source is None:
        raise DataError(
            f"data_train: the task {task.id!r} has no data of its own; "
            "name a file of labelled examples"
        )
    if task.source not in _READERS:
        raise DataError(
            f"task {task.id}: source: there is no data set {task.source!r}"
            f"{did_you_mean(task.source, _READERS)} (known: {', '.join(_READERS)})"
        )
    return _READERS[task.source](fetch(task.source), task)


def read_movie_reviews(path: Path, task: Task) -> Source:
    """Read sentences from movie reviews, each with the mean of 20 people's ratings from -4 to 4.

    A sentence is positive at a mean of 0.8 or more, negative at -0.8 or less; those between are
    left out, because people did not agree or found no opinion in them. From C. J. Hutto and E.
    Gilbert, "VADER: A parsimonious rule-based model for sentiment analysis of social media text"
    (ICWSM 2014). One line is ``id<TAB>mean<TAB>text``, in UTF-8.

    Args:
        path: ``movieReviewSnippets_GroundTruth.txt``.
        task: Its labels must include ``positive`` and ``negative``, as names or aliases.

    Raises:
        DataError: The task has other labels.
    """
    positive, negative = task.label_for("positive"), task.label_for("negative")
    if positive is None or negative is None:
        raise DataError(
            f"task {task.id}: the data set movie-reviews has the labels 'positive' and 'negative'; "
            "the task needs both, as names or aliases of its labels"
        )
    rows = []
    unclear: Counter[str] = Counter()
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            _, mean, text = line.rstrip("\r\n").split("\t", 2)
            rating = float(mean)
            if abs(rating) < _CLEAR_RATING:
                unclear["rating between -0.8 and 0.8"] += 1
                continue
            label = positive if rating > 0 else negative
            rows.append(Row(Example.of(text.strip(), output=label), str(path), number))
    source = drop_duplicates(rows, labelled=True)
    return Source(source.rows, {**unclear, **source.dropped})


def read_past_tenses(path: Path, task: Task) -> Source:
    """Read English verbs with their past tense, from the inflections in lemminflect.

    They come from the SPECIALIST Lexicon of the U.S. National Library of Medicine. One line is
    ``word,category,forms,...``; the first forms of a verb are those of its past tense, with a slash
    between spellings. Left out are verbs with several, because a right answer could count as wrong;
    words that are not plain lowercase letters; and the examples that the task's prompts show.

    Args:
        path: ``infl_lu.csv.gz``.
        task: The task.
    """
    shown = {task.example_of(example).id for example in task.positive_examples}
    rows = []
    left_out: Counter[str] = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            word, category, *forms = line.rstrip("\n").split(",")
            if category != "verb":
                continue
            example = Example.of(word, output=forms[0])
            if "/" in forms[0]:
                left_out["several past tenses"] += 1
            elif not (_PLAIN_WORD.fullmatch(word) and _PLAIN_WORD.fullmatch(forms[0])):
                left_out["not a plain word"] += 1
            elif example.id in shown:
                left_out["shown in the prompts"] += 1
            else:
                rows.append(Row(example, str(path), number))
    return Source(rows, dict(left_out))


def read_word_classes(path: Path, task: Task) -> Source:
    """Read English words with their word classes, from the inflections in lemminflect.

    They come from the SPECIALIST Lexicon of the U.S. National Library of Medicine, which has a line
    for each class that a word can have: ``word,category,forms,...``. Left out are words that are
    not plain lowercase letters, and those that the task's prompts show.

    Args:
        path: ``infl_lu.csv.gz``.
        task: Its labels must include ``noun``, ``verb``, ``adj`` and ``adv``, as names or aliases.

    Raises:
        DataError: The task is not multi-label, or has other labels.
    """
    names = {category: task.label_for(category) for category in _WORD_CLASSES}
    known = {category: name for category, name in names.items() if name is not None}
    if not task.is_multilabel or len(known) < len(names):
        raise DataError(
            f"task {task.id}: the data set word-classes has the labels "
            f"{', '.join(map(repr, _WORD_CLASSES))} and words with several; the task must be "
            "multilabel and have all of them, as names or aliases of its labels"
        )
    shown = {task.example_of(example).id for example in task.positive_examples}
    classes: defaultdict[str, set[str]] = defaultdict(set)
    lines: dict[str, int] = {}
    left_out: Counter[str] = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            word, category, *_ = line.split(",", 2)
            if _PLAIN_WORD.fullmatch(word):
                classes[word].add(known[category])
                lines.setdefault(word, number)
            else:
                left_out["not a plain word"] += 1
    rows = []
    for word, labels in classes.items():
        example = Example.of(word, output=task.output_of(labels))
        if example.id in shown:
            left_out["shown in the prompts"] += 1
        else:
            rows.append(Row(example, str(path), lines[word]))
    return Source(rows, dict(left_out))


_READERS: dict[str, Callable[[Path, Task], Source]] = {
    "english-inflections": read_past_tenses,
    "movie-reviews": read_movie_reviews,
    "word-classes": read_word_classes,
}
