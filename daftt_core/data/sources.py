"""The data that tasks bring with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from daftt_core.assets import fetch
from daftt_core.data.rows import Row, Source, drop_duplicates
from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import Example
from daftt_core.tasks import Task

__all__ = ["own_source", "read_movie_reviews"]

_CLEAR_RATING = 0.8


def own_source(task: Task) -> Source:
    """Read the data that a task names as its source; fetches it where needed.

    Raises:
        DataError: The task names none, or one that is not known.
        StorageError: It cannot be fetched.
    """
    if task.source is None:
        raise DataError(
            f"data.train: the task {task.id!r} has no data of its own; "
            "name a file of labelled examples"
        )
    if task.source not in _READERS:
        raise DataError(
            f"task {task.id}: source: there is no data set {task.source!r}"
            f"{did_you_mean(task.source, _READERS)} (known: {', '.join(_READERS)})"
        )
    return _READERS[task.source](fetch(task.source), task)


def read_movie_reviews(path: Path, task: Task) -> Source:
    """Sentences from movie reviews, each with the mean of 20 people's ratings from -4 to 4.

    A sentence is positive at a mean of 0.8 or more, negative at -0.8 or less; those between are
    left out, as people did not agree or found no opinion in them. From C. J. Hutto and E. Gilbert,
    "VADER: A parsimonious rule-based model for sentiment analysis of social media text" (ICWSM
    2014). One line is ``id<TAB>mean<TAB>text``, in UTF-8.

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


_READERS: dict[str, Callable[[Path, Task], Source]] = {"movie-reviews": read_movie_reviews}
