"""The threshold against a plain search over all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.evaluation.calibration import choose_threshold


def test_the_threshold_gives_as_many_labels_as_the_precision_allows() -> None:
    confidence = [0.95, 0.9, 0.85, 0.8, 0.7, 0.6]
    right = [True, True, False, True, False, False]
    found = choose_threshold(confidence, right, [0] * 3 + [1] * 3, wanted=0.75)
    assert found.threshold == 0.8  # 3 of 4 are right; with the fifth 3 of 5
    assert found.allows(0.8)
    assert not found.allows(0.79)


def test_a_precision_that_is_never_reached_gives_no_label() -> None:
    found = choose_threshold([0.9, 0.8], [False, True], [0, 1], wanted=0.9)
    assert found.threshold is None
    assert not found.allows(1.0)


def test_equally_confident_examples_go_together() -> None:
    # taking the right one of the two 0.8 alone would reach 1.0
    found = choose_threshold([0.9, 0.8, 0.8], [True, True, False], [0, 1, 0], wanted=1.0)
    assert found.threshold == 0.9


@given(
    examples=st.lists(
        st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 1)), min_size=1, max_size=40
    ),
    wanted=st.floats(0.05, 1.0),
)
def test_no_lower_threshold_reaches_the_precision(
    examples: list[tuple[int, bool, int]], wanted: float
) -> None:
    confidence = np.array([one[0] / 20 for one in examples])
    right = np.array([one[1] for one in examples])
    found = choose_threshold(confidence, right, [one[2] for one in examples], wanted)
    reaching = [
        float(least)
        for least in sorted(set(confidence))
        if right[confidence >= least].mean() >= wanted
    ]
    assert found.threshold == (reaching[0] if reaching else None)


def test_what_is_reported_was_judged_crosswise() -> None:
    generator = np.random.default_rng(5)
    confidence = generator.uniform(0.5, 1.0, 4000)
    right = generator.random(4000) < confidence  # well calibrated
    found = choose_threshold(confidence, right, generator.integers(0, 2, 4000), wanted=0.9)
    assert found.threshold == pytest.approx(0.8, abs=0.05)  # mean of [0.8, 1] is 0.9
    assert found.precision == pytest.approx(0.9, abs=0.03)
    assert found.coverage == pytest.approx(0.4, abs=0.1)
