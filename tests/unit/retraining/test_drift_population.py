"""What is remembered of data: hashes and counts, the same wherever and in whatever order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daftt_core.data import Population, read_population, write_population
from daftt_core.errors import StorageError
from daftt_core.records import Example


def examples(start: int, stop: int) -> list[Example]:
    labels = ("bad", "good")
    return [Example.of(f"secret film {n}", output=labels[n % 2]) for n in range(start, stop)]


def population(labelled: list[Example]) -> Population:
    return Population.of(labelled, labelled, classification=True)


def test_it_comes_back_as_it_was_and_holds_no_text(tmp_path: Path) -> None:
    made = population(examples(0, 30))
    write_population(tmp_path / "population.npz", made)
    back = read_population(tmp_path / "population.npz")
    assert back.digest == made.digest
    assert back.label_counts() == {"bad": 15, "good": 15}
    assert (back.sample != made.sample).nnz == 0
    with np.load(tmp_path / "population.npz") as file:
        assert not any(b"secret" in file[name].tobytes() for name in file.files)


def test_order_and_duplicates_do_not_matter() -> None:
    rows = examples(0, 30)
    assert population([*rows[::-1], *rows]).digest == population(rows).digest


def test_new_rows_are_those_of_another_input_or_another_label() -> None:
    before = examples(0, 30)
    changed = before[0].model_copy(update={"output": "good"})
    now = population([changed, *before[1:], *examples(30, 34)])
    is_new = now.new_rows(population(before))
    assert is_new.sum() == 5
    assert now.label_counts(is_new) == {"bad": 2, "good": 3}


def test_new_inputs_do_not_depend_on_labels() -> None:
    before = population(examples(0, 30))
    again = Example.of("SECRET  film 1")
    assert before.new_inputs([again, Example.of("new")]) == [Example.of("new")]


def test_texts_have_no_labels_and_may_be_absent() -> None:
    made = Population.of([Example.of("a", output="b")], [], classification=False)
    assert made.labels == ()
    assert made.sample.shape[0] == 0
    assert len(made.rows) == 1


def test_a_million_rows_stay_small(tmp_path: Path) -> None:
    many = Population(
        labels=("a",),
        rows=np.arange(10**6, dtype=np.uint64),
        row_labels=np.zeros(10**6, dtype=np.uint16),
        inputs=np.arange(10**6, dtype=np.uint64),
        sample=population(examples(0, 2)).sample,
    )
    write_population(tmp_path / "population.npz", many)
    assert (tmp_path / "population.npz").stat().st_size < 20e6


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense", b"nonsense"])
def test_what_is_no_population_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "population.npz"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="does not hold a population"):
        read_population(path)
