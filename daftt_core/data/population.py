"""Summarizes a run's data, so that a later run can tell what is new.

No text is kept: a hash of 64 bits of each labelled row and each input, the label of each labelled
row, and counts of hashed n-grams of a sample of inputs. That is 18 bytes a labelled row and 8 an
input, and less than a megabyte for the sample.

Counts of hashed n-grams are an embedding that needs no model. Three letters in a row, within words,
tell topic, style and language apart, in any script. The hash (MurmurHash3, as in scikit-learn) is
the same on every machine, so stored counts can be compared with later ones.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from scipy import sparse

from daftt_core.errors import StorageError
from daftt_core.records import Example, digest, normalize

WIDTH = 2**14
"""Columns; some n-grams share one."""

_MAX_COUNT = 255  # a count is kept in one byte


def count_ngrams(examples: Sequence[Example]) -> sparse.csr_array:
    """Count hashed n-grams; shape [examples, :data:`WIDTH`], unsigned bytes."""
    from sklearn.feature_extraction.text import HashingVectorizer

    if not examples:
        return sparse.csr_array((0, WIDTH), dtype=np.uint8)
    vectorizer = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(3, 3),
        n_features=WIDTH,
        alternate_sign=False,
        norm=None,
        preprocessor=normalize,
    )
    texts = [" ".join(filter(None, (each.text, each.text_pair))) for each in examples]
    counts = sparse.csr_array(vectorizer.transform(texts))
    counts.data = np.minimum(counts.data, _MAX_COUNT).astype(np.uint8)
    return counts


def weigh(counts: sparse.csr_array) -> sparse.csr_array:
    """Weigh counts by TF-IDF and scale rows to length 1 (0 for a text without n-grams).

    A weight is the logarithm of 1 + count times the inverse document frequency in these rows.
    """
    holders = np.bincount(counts.indices, minlength=WIDTH)
    rarity = np.log((1 + counts.shape[0]) / (1 + holders)) + 1
    weighted = counts.astype(np.float64)
    weighted.data = np.log1p(weighted.data) * rarity[weighted.indices]
    lengths = np.sqrt(weighted.multiply(weighted).sum(axis=1))
    weighted.data /= np.repeat(np.maximum(lengths, 1e-12), np.diff(weighted.indptr))
    return weighted


POPULATION = "population.npz"
"""The file of a population."""

SAMPLE = 2000
"""Inputs whose n-grams are kept, and new inputs that are compared with them, at most."""

_FORMAT = 1


@dataclass(frozen=True)
class Population:
    """What is remembered of a run's data.

    Attributes:
        labels: Names of the labels that occur; none for texts.
        rows: A hash of each labelled row's input and output, in order.
        row_labels: Index of its label in ``labels``; empty for texts.
        inputs: The hash of each input that could be annotated, in order.
        sample: Counts of n-grams of those of them with the lowest hashes.
    """

    labels: tuple[str, ...]
    rows: np.ndarray
    row_labels: np.ndarray
    inputs: np.ndarray
    sample: sparse.csr_array

    @classmethod
    def of(
        cls, labelled: Iterable[Example], inputs: Sequence[Example], *, classification: bool
    ) -> Population:
        """Return the population of examples.

        Args:
            labelled: Every example with an output.
            inputs: Those whose text is compared; outputs do not matter.
            classification: Whether outputs are labels.
        """
        rows = {_hash(digest(each.id, each.output)): each.output or "" for each in labelled}
        ordered = np.array(sorted(rows), dtype=np.uint64)
        names = sorted(set(rows.values())) if classification else []
        indices = {name: index for index, name in enumerate(names)}
        by_row = [indices[rows[int(row)]] for row in ordered] if classification else []
        ids = np.array(sorted({_hash(each.id) for each in inputs}), dtype=np.uint64)
        return cls(
            labels=tuple(names),
            rows=ordered,
            row_labels=np.array(by_row, dtype=np.uint16),
            inputs=ids,
            sample=count_ngrams(_lowest(inputs)),
        )

    @cached_property
    def digest(self) -> str:
        """Return a digest of its content."""
        hasher = hashlib.sha256("\0".join(self.labels).encode())
        for part in self._arrays().values():
            hasher.update(part.tobytes())
        return hasher.hexdigest()[:16]

    def label_counts(self, chosen: np.ndarray | None = None) -> dict[str, int]:
        """Count labelled rows by label: all, or those that a mask chooses."""
        indices = self.row_labels if chosen is None else self.row_labels[chosen]
        counts = Counter(indices.tolist())
        return {name: counts[index] for index, name in enumerate(self.labels)}

    def new_rows(self, known: Population) -> np.ndarray:
        """Mark the labelled rows whose input and output another population does not have."""
        return ~np.isin(self.rows, known.rows, assume_unique=True)

    def new_inputs(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples whose input this population does not have."""
        known = set(self.inputs.tolist())
        return [each for each in examples if _hash(each.id) not in known]

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "rows": self.rows,
            "row_labels": self.row_labels,
            "inputs": self.inputs,
            "counts": self.sample.data,
            "columns": self.sample.indices.astype(np.uint16),
            "starts": self.sample.indptr.astype(np.uint32),
        }


def write_population(path: Path, population: Population) -> None:
    """Write a population as one compressed file of NumPy arrays."""
    arrays: dict[str, Any] = {"format": np.array(_FORMAT), **population._arrays()}
    arrays["labels"] = np.array(population.labels, dtype=np.str_)
    np.savez_compressed(path, **arrays)


def read_population(path: Path) -> Population:
    """Read what :func:`write_population` wrote.

    Raises:
        StorageError: The file is missing, broken, or of another version of DAFTT.
    """
    try:
        # np.load leaves a file open that it was not given open and cannot read
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            if int(file["format"]) != _FORMAT:
                raise StorageError(f"{path}: was written by another version of DAFTT")
            sample = sparse.csr_array(
                (file["counts"], file["columns"].astype(np.int32), file["starts"].astype(np.int32)),
                shape=(len(file["starts"]) - 1, WIDTH),
            )
            return Population(
                labels=tuple(file["labels"].tolist()),
                rows=file["rows"],
                row_labels=file["row_labels"],
                inputs=file["inputs"],
                sample=sample,
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise StorageError(f"{path}: does not hold a population: {error}") from None


def sample_of(examples: Sequence[Example]) -> sparse.csr_array:
    """Count n-grams of the examples with the lowest hashes, :data:`SAMPLE` at most."""
    return count_ngrams(_lowest(examples))


def _lowest(examples: Sequence[Example]) -> list[Example]:
    # ids are hashes of the content, so the lowest ones are a random choice that never changes
    return sorted({each.id: each for each in examples}.values(), key=lambda each: each.id)[:SAMPLE]


def _hash(hexadecimal: str) -> int:
    return int(hexadecimal, 16)
