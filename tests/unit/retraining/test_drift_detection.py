"""The tests for drift: false alarms as rarely as stated, power on real shifts, known p values."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest
from scipy import stats

from daftt_core.config import TriggerConfig
from daftt_core.data import Population
from daftt_core.data.population import count_ngrams, weigh
from daftt_core.records import Example
from daftt_core.retraining.drift import inputs_differ, labels_differ, permutations_for
from daftt_core.retraining.verdict import compare

WORDS = [f"{start}{vowel}{end}" for start in "bdfgklm" for vowel in "aeiou" for end in "nrst"]
ZIPF = 1 / np.arange(1, len(WORDS) + 1)


def texts(rng: np.random.Generator, count: int, shifted: float = 0.0) -> list[Example]:
    """Random texts of frequent and rare words; a share of them with the rare ones frequent."""
    found = []
    for _ in range(count):
        weights = ZIPF[::-1] if rng.random() < shifted else ZIPF
        words = rng.choice(WORDS, size=rng.integers(5, 15), p=weights / weights.sum())
        label = "good" if rng.random() < 0.3 else "bad"
        found.append(Example.of(" ".join(words), output=label))
    return found


def most_alarms(alpha: float, draws: int) -> int:
    """So many alarms that more come by chance once in a thousand times."""
    return int(stats.binom.ppf(0.999, draws, alpha))


def test_false_alarms_of_the_inputs_are_as_rare_as_alpha() -> None:
    rng, draws = np.random.default_rng(1), 200
    counts = count_ngrams(texts(rng, 4000))
    p_values = []
    for draw in range(draws):
        chosen = rng.choice(counts.shape[0], 70, replace=False)
        p_values.append(inputs_differ(counts[chosen[:45]], counts[chosen[45:]], draw, 99))
    for alpha in (0.05, 0.1, 0.3):
        assert sum(p <= alpha for p in p_values) <= most_alarms(alpha, draws)
    assert 0.4 < np.mean(p_values) < 0.6, "and not because it never finds anything"


def test_false_alarms_of_the_labels_are_as_rare_as_alpha() -> None:
    rng, draws = np.random.default_rng(2), 2000
    p_values = []
    for draw in range(draws):  # rare labels, where the chi-square approximation does not hold
        old, new = (rng.multinomial(n, [0.9, 0.07, 0.03]) for n in (80, 15))
        named = (dict(zip("abc", side.tolist(), strict=True)) for side in (old, new))
        p_values.append(labels_differ(*named, draw, 199))
    for alpha in (0.01, 0.05, 0.2):
        assert sum(p <= alpha for p in p_values) <= most_alarms(alpha, draws)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_trigger_as_a_whole_gives_no_more_false_alarms_than_alpha(alpha: float) -> None:
    """Both tests, Holm's correction, the population written down: runs without any drift."""
    rng, draws, alarms = np.random.default_rng(3), 300, 0
    config = TriggerConfig(when="drift", alpha=alpha, min_new_labels=10**6)
    for draw in range(draws):
        old, new = texts(rng, 60), texts(rng, 40)
        before = Population.of(old, old, classification=True)
        now = Population.of([*old, *new], [*old, *new], classification=True)
        alarms += bool(compare(now, [*old, *new], before, "champion", config, draw).reasons)
    assert alarms <= most_alarms(alpha, draws)
    assert alarms >= 1, "a test that never fires is no test"


def test_a_shift_of_some_inputs_is_found() -> None:
    rng = np.random.default_rng(4)
    found = [
        inputs_differ(
            count_ngrams(texts(rng, 200)), count_ngrams(texts(rng, 80, shifted=0.3)), draw, 199
        )
        for draw in range(20)
    ]
    assert sum(p <= 0.01 for p in found) >= 18


def test_a_shift_of_real_texts_is_found() -> None:
    """Sentences of one real task against those of the others that come with DAFTT."""
    folder = resources.files("daftt_core.tasks") / "builtin" / "mixture"
    tasks = sorted((one for one in folder.iterdir() if one.name.endswith(".json")), key=str)
    inputs = [
        [Example.of(one["input"]) for one in json.loads(task.read_text("utf-8"))["Instances"]]
        for task in tasks
    ]
    halves = (
        [one for task in inputs for one in task[::2]],
        [one for task in inputs for one in task[1::2]],
    )
    first, others = inputs[0], [one for task in inputs[1:] for one in task]
    assert inputs_differ(count_ngrams(others), count_ngrams(first), 1, 999) == 1 / 1000
    assert inputs_differ(*map(count_ngrams, halves), 1, 999) > 0.05


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": 500, "b": 500}, {"a": 60, "b": 40}),
        ({"a": 900, "b": 500, "c": 600}, {"a": 90, "b": 75, "c": 35}),
        ({"a": 400, "b": 400}, {"a": 100, "b": 100}),
    ],
)
def test_p_values_of_large_tables_are_those_of_chi_square(
    old: dict[str, int], new: dict[str, int]
) -> None:
    table = [[side[name] for name in old] for side in (old, new)]
    expected = stats.chi2_contingency(table, correction=False).pvalue
    found = labels_differ(old, new, seed=1, permutations=20_000)
    assert found == pytest.approx(expected, abs=0.02)


def test_p_values_of_small_tables_are_exact() -> None:
    """Fisher's lady: 8 cups, 4 of each; all right has a chance of 1 in 70, on either side."""
    found = labels_differ({"milk": 4, "tea": 0}, {"milk": 0, "tea": 4}, 1, permutations=50_000)
    assert found == pytest.approx(2 / 70, abs=0.004)


def test_a_new_label_counts() -> None:
    assert labels_differ({"a": 500}, {"a": 10, "b": 10}, 1, 999) == 1 / 1000


def test_the_p_value_can_be_told_from_alpha() -> None:
    assert permutations_for(0.05) == 999
    assert permutations_for(0.001) == 19_999


def test_weighed_rows_have_length_one() -> None:
    rows = weigh(count_ngrams([Example.of(text) for text in ("One film.", "Another film", "ö")]))
    lengths = np.sqrt((rows.toarray() ** 2).sum(axis=1))
    assert lengths == pytest.approx([1, 1, 1])
