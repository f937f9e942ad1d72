"""Checks of the data before anything is learned from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from daftt_core.data.rows import Row, left_out_words, list_names, unit_of
from daftt_core.data.splits import count_labels
from daftt_core.errors import DataError, shortened
from daftt_core.tasks import Task


def check_apart(splits: Mapping[str, Sequence[Row]]) -> None:
    """Make sure that no input is in two of the labelled sources.

    Args:
        splits: Rows by the name of the parameter they came from.

    Raises:
        DataError: Some are: one sentence for each two sources, with the first such input.
    """
    mistakes = []
    for (first_name, first), (second_name, second) in combinations(splits.items(), 2):
        known = {row.example.id: row for row in first}
        both = [(known[row.example.id], row) for row in second if row.example.id in known]
        if both:
            row, twin = min(both, key=lambda pair: pair[0].line)
            mistakes.append(
                f"{first_name} and {second_name}: inputs in both: {len(both)}; the first one is "
                f"{shortened(row.example.text)!r} ({_place(row)}; {_place(twin)}); "
                "remove them from one of the two"
            )
    if mistakes:
        raise DataError("\n".join(mistakes))


def check_pool(
    task: Task, pool: Sequence[Row], count: int, setting: str, left_out: Mapping[str, int]
) -> None:
    """Make sure that ``count`` examples to learn from can be taken from the training pool.

    Args:
        task: The task.
        pool: The rows they are taken from.
        count: How many.
        setting: The parameter that says how many.
        left_out: How many rows of the source cannot be used, by reason.

    Raises:
        DataError: A label has no example in the pool, or there are fewer examples than labels.
    """
    if not pool:
        raise DataError(
            "data_train: no example is left to learn from; give more examples"
            + left_out_words(left_out)
        )
    needed = len(task.labels) if task.is_classification else 1
    if count < needed:
        raise DataError(
            f"{setting}: makes {count} labelled examples of {len(pool)}; at least {needed} "
            f"are needed, {'one for each label' if task.is_classification else 'to learn from'}"
        )
    _check_not_one_label(task, pool, "data_train")
    if missing := _missing(task, pool):
        raise DataError(
            f"data_train: no example to learn from has the label {list_names(missing)}; "
            "add some, or take the label out of the task"
        )


def check_each_label(task: Task, rows: Sequence[Row], setting: str) -> None:
    """Make sure that the examples taken to learn from hold every label.

    Raises:
        DataError: One has none: few sets may hold the rare labels, and not all of the others.
    """
    if missing := _missing(task, rows):
        raise DataError(
            f"{setting}: none of the {len(rows)} examples to learn from has the label "
            f"{list_names(missing)}; take more"
        )


def _missing(task: Task, rows: Sequence[Row]) -> list[str]:
    counts = count_labels(task, rows) if task.is_classification else {}
    return [name for name in task.label_names if name not in counts]


def check_labels(task: Task, rows: Sequence[Row], split: str) -> None:
    """Make sure that a split can distinguish good answers from bad ones.

    Raises:
        DataError: It is empty, or all its examples have the same label or labels.
    """
    if not rows:
        raise DataError(
            f"data_{split}_share: no example falls into {split}; raise it, give more examples, "
            f"or name a file in data_{split}"
        )
    _check_not_one_label(task, rows, f"data_{split}")


def _check_not_one_label(task: Task, rows: Sequence[Row], setting: str) -> None:
    outputs = {row.example.output for row in rows}
    if not task.is_classification or len(outputs) != 1:
        return
    (output,) = outputs
    subject = f"all {len(rows)} examples have" if len(rows) > 1 else "its only example has"
    if task.is_multilabel:
        raise DataError(
            f"{setting}: {subject} the same labels, {output!r}; at least two different sets of "
            f"{list_names(task.label_names)} are needed"
        )
    raise DataError(
        f"{setting}: has only one class: {subject} the label {output!r}; "
        f"at least two of {list_names(task.label_names)} are needed"
    )


def _place(row: Row) -> str:
    return f"{row.file}, {unit_of(row.file)} {row.line}"
