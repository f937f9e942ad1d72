"""Slices: what they hold, and that their scores are those of their examples alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daftt_core.evaluation import MOST_VALUES, SMALL, Slice
from daftt_core.evaluation.answers import Answers
from daftt_core.evaluation.arms import score_answers
from daftt_core.evaluation.slices import compare_slices
from daftt_core.records import Traits
from daftt_core.tasks import load_task

TASK = load_task("movie-reviews")
ARMS = ["real", "real+both"]


def answers(right: dict[str, list[list[bool]]]) -> Answers:
    """Labels take turns; each arm's seeds are right or wrong as told."""
    gold = tuple(TASK.label_names[n % 2] for n in range(len(right["real"][0])))
    other = {gold[0]: gold[1], gold[1]: gold[0]}
    outputs = {
        arm: [
            [true if hit else other[true] for hit, true in zip(row, gold, strict=True)]
            for row in rows
        ]
        for arm, rows in right.items()
    }
    ids = tuple(f"{n:04}" for n in range(len(gold)))
    return Answers(TASK, tuple(range(len(right["real"]))), ids, gold, outputs, {})


def sliced(found: Answers, traits: Traits | None) -> tuple[Slice, ...]:
    scores = score_answers(found, ARMS)
    return compare_slices(found, scores, ARMS, traits, resamples=200, confidence=0.95, seed=3)


def traits(found: Answers, lengths: list[int], values: list[str] | None = None) -> Traits:
    return Traits(
        characters=dict(zip(found.ids, lengths, strict=True)),
        column="region" if values else "",
        values=dict(zip(found.ids, values, strict=True)) if values else {},
    )


def test_a_slice_is_scored_on_its_examples_alone() -> None:
    # both arms right on 40 negatives; of 40 positives `real` is right on none, the other on half
    real = [n % 2 == 0 for n in range(80)]
    both = [n % 2 == 0 or n < 40 for n in range(80)]
    negative, positive = sliced(answers({"real": [real, real], "real+both": [both, both]}), None)
    assert (negative.by, negative.name, negative.examples) == ("class", TASK.label_names[0], 40)
    assert negative.arms[1].gain == 0
    assert (negative.arms[1].interval.low, negative.arms[1].interval.high) == (0, 0)
    assert (positive.arms[0].score, positive.arms[0].gain) == (0, None)
    assert (positive.arms[1].score, positive.arms[1].gain) == (0.5, 50)
    # the resampled gain is binomial(40, 1/2) / 40
    assert positive.arms[1].interval.low == pytest.approx(50 - 15.5, abs=4)
    assert positive.arms[1].interval.high == pytest.approx(50 + 15.5, abs=4)


def test_lengths_are_cut_at_the_terciles_and_equal_ones_stay_together() -> None:
    found = answers({"real": [[True] * 9], "real+both": [[True] * 9]})
    parts = [
        p for p in sliced(found, traits(found, [5, 5, 5, 5, 6, 7, 8, 90, 90])) if p.by != "class"
    ]
    assert [(p.name, p.examples) for p in parts] == [
        ("5 characters", 4),
        ("6 to 7 characters", 2),
        ("8 to 90 characters", 3),
    ]
    assert all(part.is_small for part in parts)


def test_rare_values_are_one_slice_and_an_empty_one_has_a_name() -> None:
    count = 200
    values = [f"v{n:02}" if n < 15 else "" if n < 55 else "common" for n in range(count)]
    found = answers({arm: [[True] * count] for arm in ARMS})
    parts = [p for p in sliced(found, traits(found, [9] * count, values)) if p.by == "column"]
    assert len(parts) == MOST_VALUES + 1
    assert [(p.name, p.examples, p.is_small) for p in parts[:3]] == [
        ("common", 145, False),
        ("(empty)", 40, False),
        ("v00", 1, True),
    ]
    assert (parts[-1].name, parts[-1].examples) == ("all others (7 values)", 7)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), st.sampled_from("abcdefghijklmno")), min_size=2))
def test_every_example_is_in_one_slice_of_each_kind(rows: list[tuple[int, str]]) -> None:
    found = answers({arm: [[True] * len(rows)] for arm in ARMS})
    parts = sliced(found, traits(found, [n for n, _ in rows], [value for _, value in rows]))
    for way in ("class", "length", "column"):
        sizes = [part.examples for part in parts if part.by == way]
        assert sum(sizes) == len(rows)
        assert all(sizes)
    assert all(part.is_small == (part.examples < SMALL) for part in parts)


def test_the_order_of_arms_and_a_second_call_change_nothing() -> None:
    rng = np.random.default_rng(5)
    found = answers({arm: rng.random((2, 60)).round().astype(bool).tolist() for arm in ARMS})
    about = traits(found, list(range(60)))
    assert sliced(found, about) == sliced(found, about)
