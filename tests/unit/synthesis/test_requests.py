"""What each new example is asked for."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from daftt_core.config import SynthesisConfig
from daftt_core.records import Example
from daftt_core.synthesis.generating import Requests, label_quotas
from daftt_core.tasks import Task
from daftt_core.workspace import Run

LABELS = ("good", "bad", "mixed")
REVIEWS = Task.model_validate(
    {
        "id": "reviews",
        "kind": "classification",
        "description": "Is it good?",
        "definition": "Is it good?",
        "writing_definition": "Write a review.",
        "labels": [{"name": name, "verbalizer": name} for name in LABELS],
    }
)
TITLES = Task(
    id="titles",
    kind="text2text",
    description="Titles.",
    definition="Write a title.",
    writing_definition="Write a text.",
)
LABELLED = [
    Example.of(f"review {place}", output=label)
    for place, label in enumerate(["good"] * 6 + ["bad"] * 3 + ["mixed"])
]


def requests(
    task: Task = REVIEWS, seed: int = 0, labelled: list[Example] = LABELLED, **settings: object
) -> Requests:
    return Requests(
        Run(uri="runs/x", seed=seed, task=task), SynthesisConfig.model_validate(settings), labelled
    )


def asked(**settings: object) -> list[str | None]:
    made = requests(**settings)
    return [made.label(number) for number in range(int(str(settings["generate_count"])))]


def test_uniform_labels_take_turns() -> None:
    assert asked(generate_count=7) == ["good", "bad", "mixed", "good", "bad", "mixed", "good"]


def test_labels_as_labelled_are_exact_and_spread_out() -> None:
    labels = asked(generate_count=25, label_balance="as-labelled")
    # shares of 15, 7.5 and 2.5: the first of the two equal remainders gets the last one
    assert Counter(labels) == {"good": 15, "bad": 8, "mixed": 2}
    for start in range(0, 25, 5):
        assert 2 <= labels[start : start + 5].count("good") <= 4


@given(
    st.integers(0, 5000),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**9), min_size=1),
)
def test_quotas_add_up_and_none_is_a_whole_example_off(count: int, shares: dict[str, int]) -> None:
    quotas = label_quotas(count, shares)
    assert sum(quotas.values()) == count
    for label, share in shares.items():
        exact = Fraction(count * share, sum(shares.values()))
        assert abs(quotas[label] - exact) < 1


def test_demonstrations_have_the_label_and_differ_between_prompts_and_seeds() -> None:
    made = requests(generate_count=30, demonstrations=2)
    drawn = [made.demonstrations(number) for number in range(30)]
    for number, shown in enumerate(drawn):
        assert {one.output for one in shown} == {made.label(number)}
        assert len({one.id for one in shown}) == min(
            2, Counter(e.output for e in LABELLED)[made.label(number)]
        )
    assert len({tuple(one.id for one in shown) for shown in drawn[::3]}) > 5
    again = requests(generate_count=30, demonstrations=2, labelled=LABELLED[::-1])
    assert [again.demonstrations(number) for number in range(30)] == drawn
    other = requests(generate_count=30, demonstrations=2, seed=1)
    assert [other.demonstrations(number) for number in range(30)] != drawn


def test_the_prompt_shows_them_as_solved() -> None:
    made = requests(generate_count=2, demonstrations=3, labelled=LABELLED[-2:])
    assert str(made.prompt(1)) == (
        "Definition: Write a review.\n\n"
        "Positive Example 1 -\nInput: bad\nOutput: review 8\n\n"
        "Now complete the following example -\nInput: bad\nOutput:"
    )
    assert str(made.prompt(0)) == "Definition: Write a review.\n\nInput: good\nOutput:"


def test_texts_are_shown_without_their_outputs() -> None:
    made = requests(TITLES, generate_count=1, demonstrations=1, labelled=LABELLED[:1])
    assert made.label(0) is None
    assert str(made.prompt(0)) == (
        "Definition: Write a text.\n\nPositive Example 1 -\nInput:\nOutput: review 0\n\n"
        "Now complete the following example -\nInput:\nOutput:"
    )
