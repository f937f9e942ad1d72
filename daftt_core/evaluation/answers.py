"""Reads the students' answers to dev and test, checks them and puts them in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from daftt_core.errors import DataError
from daftt_core.evaluation.label_sets import label_matrix, probability_matrix
from daftt_core.records import TRAITS, Prediction, Traits, explain, read_jsonl
from daftt_core.tasks import Task


@dataclass(frozen=True)
class Answers:
    """What all students of all arms answered.

    Attributes:
        task: The task.
        seeds: The students' seeds, ascending.
        ids: The examples, ascending.
        gold: The true outputs, in the order of ``ids``.
        outputs: For each arm one row a seed of outputs, in the order of ``gold``.
        distributions: For each arm one row a seed of label distributions, in the same order.
    """

    task: Task
    seeds: tuple[int, ...]
    ids: tuple[str, ...]
    gold: tuple[str, ...]
    outputs: Mapping[str, Sequence[Sequence[str]]]
    distributions: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]

    @cached_property
    def gold_matrix(self) -> npt.NDArray[np.bool_]:
        """Return which labels each true output holds, shape [examples, labels]."""
        return label_matrix(self.task, self.gold)

    def matrices(self, arm: str) -> npt.NDArray[np.bool_]:
        """Return which labels each answer holds, shape [seeds, examples, labels]."""
        return np.stack([label_matrix(self.task, row) for row in self.outputs[arm]])

    @cached_property
    def gold_indices(self) -> npt.NDArray[np.int64]:
        """Return the label index of each true output, shape [examples]."""
        return self._indices(self.gold)

    def votes(self, arm: str) -> npt.NDArray[np.int64]:
        """Return the label index of each answer, shape [seeds, examples]."""
        return np.stack([self._indices(row) for row in self.outputs[arm]])

    def probs(self, arm: str) -> npt.NDArray[np.float64]:
        """Return the probability of each label, shape [seeds, examples, labels]."""
        return np.stack([probability_matrix(self.task, row) for row in self.distributions[arm]])

    def _indices(self, outputs: Sequence[str]) -> npt.NDArray[np.int64]:
        index = {label: number for number, label in enumerate(self.task.label_names)}
        return np.asarray([index[output] for output in outputs], dtype=np.int64)


def read_answers(folder: Path, task: Task, arms: Sequence[str]) -> Answers:
    """Read ``<arm>.jsonl`` of each arm.

    Args:
        folder: Folder of the stage ``predictions``.
        task: The task.
        arms: The arms.

    Raises:
        DataError: A file is missing or empty; a label is not one of the task's; an answer is
            missing or given twice; or two arms differ in seeds, test examples or true outputs.
    """
    return _ordered(task, {arm: _read_arm(folder / f"{arm}.jsonl", task, arm) for arm in arms})


def read_dev_answers(folder: Path, task: Task, arm: str) -> Answers | None:
    """Return what an arm's students answered to dev; None where that was not kept.

    Args:
        folder: Folder of the stage ``students/<arm>``.
        task: The task.
        arm: The arm.

    Raises:
        DataError: As for :func:`read_answers`.
    """
    path = folder / "dev-predictions.jsonl"
    return _ordered(task, {arm: _read_arm(path, task, arm)}) if path.is_file() else None


def read_traits(folder: Path, ids: Iterable[str]) -> Traits | None:
    """Return what is known of the test examples beside their outputs; None where nothing is.

    Args:
        folder: Folder of the stage ``predictions``.
        ids: The test examples that were answered.

    Raises:
        DataError: The file is damaged, or lacks an example that was answered.
    """
    path = folder / TRAITS
    if not path.is_file():  # predicted by a version that wrote none
        return None
    try:
        traits = Traits.model_validate_json(path.read_bytes())
    except ValidationError as error:
        mistake = ": ".join(filter(None, next(explain(error, Traits))))
        raise DataError(f"{path}: {mistake}; predict again") from None
    known = set(traits.characters) & set(traits.values if traits.column else traits.characters)
    if not known.issuperset(ids):
        raise DataError(f"{path}: is not about the test examples that were answered; predict again")
    return traits


_Table = dict[int, dict[str, Prediction]]


def _ordered(task: Task, tables: Mapping[str, _Table]) -> Answers:
    """Check that all arms answered the same, and put their answers in one order."""
    first_arm, first = next(iter(tables.items()))
    for arm, table in tables.items():
        _check_same(first_arm, first, arm, table)
    seeds = tuple(sorted(first))
    ids = sorted(first[seeds[0]])
    rows = {
        arm: [[table[seed][id_] for id_ in ids] for seed in seeds] for arm, table in tables.items()
    }
    return Answers(
        task=task,
        seeds=seeds,
        ids=tuple(ids),
        gold=tuple(first[seeds[0]][id_].gold for id_ in ids),
        outputs={arm: [[each.output for each in row] for row in rows[arm]] for arm in tables},
        distributions={
            arm: [[each.distribution for each in row] for row in rows[arm]] for arm in tables
        },
    )


def _read_arm(path: Path, task: Task, arm: str) -> _Table:
    table: _Table = {}
    for line, prediction in enumerate(read_jsonl(path, Prediction), start=1):
        where = f"{path}, line {line}"
        if prediction.arm != arm:
            raise DataError(f"{where}: arm: {prediction.arm!r} in the file of {arm!r}")
        answers = table.setdefault(prediction.seed, {})
        if prediction.id in answers:
            raise DataError(
                f"{where}: a second answer of seed {prediction.seed} to {prediction.id}"
            )
        if task.is_classification:
            _check_labels(where, prediction, task)
        answers[prediction.id] = prediction
    if not table:
        raise DataError(f"{path}: holds no predictions")
    return table


def _check_labels(where: str, prediction: Prediction, task: Task) -> None:
    labels = task.label_names
    for name, output in (("gold", prediction.gold), ("output", prediction.output)):
        if not task.allows(output):
            one = "a set" if task.is_multilabel else "one"
            raise DataError(f"{where}: {name}: {output!r} is not {one} of {', '.join(labels)}")
    if set(prediction.distribution) != set(labels):
        actual = ", ".join(prediction.distribution) or "nothing"
        raise DataError(f"{where}: distribution: must be over {', '.join(labels)}, found {actual}")


def _check_same(first_arm: str, first: _Table, arm: str, table: _Table) -> None:
    if set(table) != set(first):
        raise DataError(
            f"arms {first_arm!r} and {arm!r} have the seeds {sorted(first)} and {sorted(table)}; "
            "all arms must have the same seeds"
        )
    truth = {answer.id: answer.gold for answer in next(iter(first.values())).values()}
    for seed, answers in sorted(table.items()):
        different = sorted(set(answers) ^ set(truth))
        if different:
            raise DataError(
                f"arm {arm!r}, seed {seed}: not the same test examples as arm {first_arm!r}: "
                f"{len(different)} differ, such as {different[0]}; predict the test examples again"
            )
        for id_, answer in answers.items():
            if answer.gold != truth[id_]:
                raise DataError(
                    f"arm {arm!r}, seed {seed}: {id_} has the true output {answer.gold!r}, but in "
                    f"arm {first_arm!r} it is {truth[id_]!r}"
                )
