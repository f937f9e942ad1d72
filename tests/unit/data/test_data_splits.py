"""Splits: disjoint, stratified, independent of row order, and stable when rows are added."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.data.rows import Row, drop_duplicates
from daftt_core.data.splits import cut, place, quotas, share_of, take
from daftt_core.records import Example


def row(number: int, label: str | None = "a") -> Row:
    return Row(Example.of(f"text {number}", output=label), "file", number)


labels = st.sampled_from(["a", "a", "a", "b", "b", "c"])
row_sets = st.dictionaries(st.integers(0, 10_000), labels, max_size=120).map(
    lambda labels: [row(number, label) for number, label in labels.items()]
)
seeds = st.integers(0, 2**31)
shares = st.sampled_from([0.0, 0.1, 0.2, 0.45])
sizes = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**6), min_size=1)


def ids(rows: list[Row]) -> list[str]:
    return [row.example.id for row in rows]


@given(row_sets, seeds, shares, shares)
def test_every_row_is_in_exactly_one_region(
    rows: list[Row], seed: int, test_share: float, dev_share: float
) -> None:
    regions = cut(rows, seed, test_share, dev_share)
    together = [*regions.test, *regions.dev, *regions.train]
    assert sorted(ids(together)) == sorted(ids(rows))
    assert test_share or not regions.test
    assert dev_share or not regions.dev


@given(
    st.dictionaries(st.integers(0, 10_000), st.sets(st.sampled_from("abcd")), min_size=20),
    seeds,
)
def test_every_label_of_a_set_is_taken_that_is_rarest_somewhere(
    held: dict[int, set[str]], seed: int
) -> None:
    sets = {number: "; ".join(sorted(labels)) or "none" for number, labels in held.items()}
    rows = [row(number, output) for number, output in sets.items()]
    counts = Counter(label for labels in held.values() for label in labels)
    rarest = {
        min(labels, key=lambda each: (counts[each], each)) for labels in held.values() if labels
    }
    taken = take(rows, 10, seed, by_label=True, of_sets=True, at_least=1)
    assert len(taken) == 10
    outputs = [one.example.output or "" for one in taken]
    assert rarest <= {label for output in outputs for label in output.split("; ")}
    assert ("none" in outputs) == ("none" in sets.values())
    assert take(rows[::-1], 10, seed, by_label=True, of_sets=True, at_least=1) == taken


@given(row_sets, row_sets, seeds)
def test_no_row_changes_its_region_when_rows_are_added(
    rows: list[Row], added: list[Row], seed: int
) -> None:
    known = set(ids(rows))
    before = cut(rows, seed, 0.2, 0.1)
    after = cut([*added, *rows], seed, 0.2, 0.1)
    for name in ("test", "dev", "train"):
        kept = [one for one in ids(getattr(after, name)) if one in known]
        assert set(kept) == set(ids(getattr(before, name)))


@given(row_sets, seeds, st.integers(0, 130), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    rows: list[Row], seed: int, count: int, by_label: bool, shuffler: random.Random
) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    first = take(rows, count, seed, by_label=by_label, at_least=1)
    assert take(shuffled, count, seed, by_label=by_label, at_least=1) == first


@given(row_sets, seeds, st.integers(0, 130))
def test_what_is_taken_is_stratified_within_one(rows: list[Row], seed: int, count: int) -> None:
    taken = take(rows, count, seed, by_label=True)
    assert len(taken) == min(count, len(rows))
    assert len(set(ids(taken))) == len(taken)
    have, got = (Counter(one.example.output for one in some) for some in (rows, taken))
    for label, size in have.items():
        assert abs(got[label] - Fraction(size * len(taken), len(rows))) < 1


@given(row_sets, seeds, st.integers(1, 130))
def test_the_lowest_places_of_each_label_are_taken(rows: list[Row], seed: int, count: int) -> None:
    taken = set(ids(take(rows, count, seed, by_label=True)))
    for label in {one.example.output for one in rows}:
        places = {
            one.example.id: place(seed, one.example.id)
            for one in rows
            if one.example.output == label
        }
        inside = [at for example_id, at in places.items() if example_id in taken]
        outside = [at for example_id, at in places.items() if example_id not in taken]
        assert not inside or not outside or max(inside) < min(outside)


def test_places_are_spread_evenly() -> None:
    counts = Counter(int(place(13, Example.of(str(n)).id) * 10) for n in range(10_000))
    expected = 1000
    chi_square = sum((counts[ten] - expected) ** 2 / expected for ten in range(10))
    assert chi_square < 27.9  # the 99.9% quantile at 9 degrees of freedom


def test_another_seed_makes_other_splits() -> None:
    rows = [row(number) for number in range(200)]
    first, second = (set(ids(cut(rows, seed, 0.5, 0.1).test)) for seed in (1, 2))
    assert 0.2 < len(first & second) / len(first) < 0.8


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ({"a": 50, "b": 50}, 64, {"a": 32, "b": 32}),
        # Hamilton's method on an example of its literature: seats 21, votes as given.
        (
            {"a": 1468, "b": 1270, "c": 1117, "d": 902, "e": 243},
            21,
            {"a": 6, "b": 5, "c": 5, "d": 4, "e": 1},
        ),
        ({"a": 1, "b": 1, "c": 1}, 2, {"a": 1, "b": 1, "c": 0}),
        ({"a": 3, "b": 2}, 99, {"a": 3, "b": 2}),
        ({"a": 3, "b": 2}, 0, {"a": 0, "b": 0}),
        ({}, 5, {}),
    ],
)
def test_quotas_by_largest_remainder(
    sizes: dict[str, int], total: int, expected: dict[str, int]
) -> None:
    assert quotas(sizes, total) == expected


@given(sizes, st.integers(0, 2 * 10**6))
def test_quotas_use_every_place_and_no_more_than_there_are(
    sizes: dict[str, int], total: int
) -> None:
    quota = quotas(sizes, total)
    assert sum(quota.values()) == min(total, sum(sizes.values()))
    assert all(0 <= quota[name] <= sizes[name] for name in sizes)


@given(sizes, st.integers(0, 50))
def test_rare_labels_get_one_where_there_is_room(sizes: dict[str, int], total: int) -> None:
    quota = quotas(sizes, total, at_least=1)
    assert sum(quota.values()) == min(total, sum(sizes.values()))
    assert all(0 <= quota[name] <= sizes[name] for name in sizes)
    if total >= len(sizes):
        assert min(quota.values()) >= 1


def test_the_label_furthest_above_its_share_gives_up_a_place() -> None:
    assert quotas({"a": 500, "b": 490, "c": 10}, 10, at_least=1) == {"a": 5, "b": 4, "c": 1}
    assert quotas({"a": 98, "b": 1, "c": 1}, 3, at_least=1) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(
    ("fraction", "size", "count"),
    [(0.05, 2490, 125), (0.01, 2490, 25), (0.1, 2490, 249), (0.5, 3, 2), (1.0, 7, 7), (0.1, 4, 0)],
)
def test_shares_round_half_up(fraction: float, size: int, count: int) -> None:
    assert share_of(fraction, size) == count


def test_one_of_several_equal_inputs_is_kept() -> None:
    rows = [
        Row(Example.of(text, output=output), "file", line)
        for line, (text, output) in enumerate(
            [("Fun.", "a"), ("fun. ", "a"), ("Dull.", "b"), ("So so.", "a"), ("SO SO.", "b")]
        )
    ]
    source = drop_duplicates(rows, labelled=True)
    assert [one.line for one in source.rows] == [0, 2]
    assert source.dropped == {"contradicting labels": 2, "duplicate": 1}
    texts = drop_duplicates(rows, labelled=False)
    assert texts.dropped == {"duplicate": 2}
    assert len(texts.rows) == 3


@given(
    st.lists(st.tuples(st.sampled_from(["x", "X", "y", "Y "]), labels), max_size=8),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_which_duplicate_is_kept_does_not_depend_on_the_order(
    inputs: list[tuple[str, str]], labelled: bool, shuffler: random.Random
) -> None:
    rows = [Row(Example.of(text, output=label), "file", 1) for text, label in inputs]
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    first, second = (drop_duplicates(some, labelled=labelled) for some in (rows, shuffled))
    assert first.dropped == second.dropped
    assert sorted(map(repr, first.rows)) == sorted(map(repr, second.rows))
    assert len(first.rows) + sum(first.dropped.values()) == len(rows)
