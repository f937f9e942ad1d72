from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from curation_examples import (
    SENTIMENT,
    TITLES,
    Outcome,
    around,
    changed,
    made,
    reasons,
    run_filters,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from daftt_core.config import CurationConfig
from daftt_core.curation import EXAMPLE_FILTERS, SET_FILTERS, FilterContext
from daftt_core.curation.filters import Reason
from daftt_core.curation.rows import Row, Spool
from daftt_core.records import SyntheticExample, content_id


def test_an_unusable_answer_is_rejected_with_its_problem() -> None:
    outcome = run_filters([made("a film", problem="unfinished", output=None)], around())
    assert [(r.reason, r.detail) for r in outcome.rejected] == [("unusable", "unfinished")]


@pytest.mark.parametrize("fields", [{"output": None}, {"output": "great"}, {"asked": "great"}])
def test_an_output_that_is_no_label_is_unusable(fields: dict[str, object]) -> None:
    assert reasons([made("a film", **fields)], around()) == {"a film": "unusable"}


def test_a_text_output_need_not_be_a_label() -> None:
    outcome = run_filters([made("a film", output="Any title")], around(task=TITLES))
    assert len(outcome.kept) == 1


def test_length_limits_are_inclusive() -> None:
    examples = [made("x" * count) for count in (2, 3, 5, 6)]
    found = reasons(examples, around(changed(min_characters=3, max_characters=5)))
    assert found == {"xx": "length", "xxxxxx": "length"}


def test_both_inputs_of_a_pair_count_towards_the_length() -> None:
    pair = made("abc", text_pair="def")
    assert reasons([pair], around(changed(min_characters=6))) == {}
    assert reasons([pair], around(changed(min_characters=7))) == {"abc": "length"}


def test_a_copy_of_a_labelled_example_is_rejected_in_any_spelling() -> None:
    outcome = run_filters([made("A  fine FILM")], around(labelled=["a fine film"]))
    assert outcome.rejected[0].reason == "copy"
    assert outcome.rejected[0].collides_with == content_id("a fine film")


def test_a_generated_echo_of_an_unlabelled_input_is_rejected_and_the_annotated_input_stays() -> (
    None
):
    examples = [made("a fine film"), made("a fine film", "annotated")]
    outcome = run_filters(examples, around(unlabelled=["a fine film"]))
    assert [example.source for example in outcome.kept] == ["annotated"]
    assert "echo" in outcome.rejected[0].detail


def test_of_equal_inputs_the_annotated_one_stays() -> None:
    examples = [made("a fine film"), made("A fine film", "annotated"), made("a  fine film")]
    outcome = run_filters(examples, around())
    assert [example.source for example in outcome.kept] == ["annotated"]
    assert Counter(r.reason for r in outcome.rejected) == {"duplicate": 2}


def test_an_unusable_copy_does_not_crowd_out_a_usable_one() -> None:
    examples = [made("a fine film", "annotated", problem="no answer"), made("a fine film")]
    assert [example.source for example in run_filters(examples, around()).kept] == ["generated"]


@pytest.mark.parametrize("source", ["annotated", "generated"])
def test_a_held_out_example_or_part_of_one_is_rejected(source: str) -> None:
    heldout = ["one two three four five six seven", "a short one"]
    examples = [
        made("A short ONE", source),
        made("and one two three four five", source),
        made("one two three four, but not more", source),
    ]
    outcome = run_filters(examples, around(changed(overlap_words=5), heldout=heldout))
    assert [example.text for example in outcome.kept] == ["one two three four, but not more"]
    found = {r.example.text: (r.reason, r.collides_with, r.detail) for r in outcome.rejected}
    assert found["A short ONE"][:2] == ("overlap", content_id("a short one"))
    assert found["and one two three four five"][:2] == ("overlap", content_id(heldout[0]))
    assert "5 words in a row" in found["and one two three four five"][2]


DISAGREEING = made(
    "a film", asked="bad", output="good", confidence=0.8, distribution={"good": 0.8, "bad": 0.2}
)


def test_verify_relabel_takes_the_new_label() -> None:
    kept = run_filters([DISAGREEING], around(changed(verify="relabel"))).kept
    assert [(e.output, e.confidence) for e in kept] == [("good", 0.8)]


def test_verify_off_takes_the_label_that_was_asked_for_and_its_confidence() -> None:
    kept = run_filters([DISAGREEING], around(changed(verify="off"))).kept
    assert [(e.output, e.confidence) for e in kept] == [("bad", 0.2)]


def test_verify_drop_keeps_only_pairs_that_agree() -> None:
    agreeing = made("another film", asked="bad", output="bad")
    annotated = made("a real film", "annotated", output="bad")
    found = reasons([DISAGREEING, agreeing, annotated], around(changed(verify="drop")))
    assert found == {"a film": "verify"}


def test_the_least_confidence_is_inclusive() -> None:
    examples = [made("sure", confidence=0.5), made("unsure", confidence=0.499)]
    found = reasons(examples, around(changed(min_confidence=0.5)))
    assert found == {"unsure": "confidence"}


def test_the_most_confident_share_of_each_annotated_label_is_kept() -> None:
    good = [made(f"good {i}", "annotated", confidence=0.9 + i / 1000) for i in range(10)]
    bad = [made(f"bad {i}", "annotated", output="bad", confidence=0.5 + i / 1000) for i in range(5)]
    generated = [made("made up", confidence=0.1)]
    kept = run_filters([*good, *bad, *generated], around(changed(keep_share=0.6))).kept
    texts = {example.text for example in kept}
    assert texts == {*(f"good {i}" for i in range(4, 10)), "bad 2", "bad 3", "bad 4", "made up"}


@pytest.mark.parametrize(("count", "share", "kept"), [(30, 0.1, 3), (1, 0.1, 1), (7, 0.5, 4)])
def test_the_share_is_rounded_up(count: int, share: float, kept: int) -> None:
    examples = [made(f"film {i}", "annotated") for i in range(count)]
    assert len(run_filters(examples, around(changed(keep_share=share))).kept) == kept


def test_equal_confidence_is_decided_by_id() -> None:
    examples = [made(f"film {i}", "annotated") for i in range(10)]
    kept = run_filters(examples, around(changed(keep_share=0.3))).kept
    assert [example.id for example in kept] == sorted(example.id for example in examples)[:3]


def test_balance_keeps_the_most_confident_of_the_frequent_label() -> None:
    good = [made(f"good {i}", confidence=i / 10) for i in range(5)]
    bad = [made(f"bad {i}", output="bad") for i in range(2)]
    annotated = [made("a real film", "annotated")]
    kept = run_filters([*good, *bad, *annotated], around(changed(balance=True))).kept
    assert {e.text for e in kept} == {"good 3", "good 4", "bad 0", "bad 1", "a real film"}


def drawn(ratio: float, seed: int = 0) -> list[SyntheticExample]:
    """What is left of 60 good, 20 bad and 10 annotated examples beside 4 labelled ones."""
    written = [made(f"good {i}") for i in range(60)]
    written += [made(f"bad {i}", output="bad") for i in range(20)]
    written += [made(f"real {i}", "annotated") for i in range(10)]
    labelled = [f"labelled {i}" for i in range(4)]
    return run_filters(written, around(changed(ratio=ratio), labelled=labelled, seed=seed)).kept


def test_a_ratio_draws_each_label_by_its_share() -> None:
    kept = drawn(ratio=5)
    assert Counter((e.source, e.output) for e in kept) == {
        ("generated", "good"): 15,
        ("generated", "bad"): 5,
        ("annotated", "good"): 10,
    }


def test_a_smaller_ratio_draws_among_what_a_larger_one_draws() -> None:
    few, many = ({e.id for e in drawn(ratio)} for ratio in (1.5, 4))
    assert len(few) == 2 * 6
    assert few < many
    assert {e.id for e in drawn(1.5, seed=1)} != few


def test_no_ratio_is_no_limit() -> None:
    assert len(drawn(ratio=0)) == 90


def test_labels_do_not_matter_to_a_text_task() -> None:
    config = CurationConfig(min_characters=0, verify="drop", keep_share=1.0, balance=True)
    texts = [made(f"text {i}", source, output=f"title {i}") for i in range(3) for source in SOURCES]
    outcome = run_filters(texts, around(config, task=TITLES))
    assert {r.reason for r in outcome.rejected} == {"duplicate"}
    assert len(outcome.kept) == 3


def test_of_the_texts_for_real_inputs_the_surest_share_is_kept() -> None:
    sure = [made(f"text {i}", "annotated", output="title", confidence=i / 10) for i in range(10)]
    written = [made(f"new text {i}", output="title", confidence=0.0) for i in range(3)]
    outcome = run_filters([*sure, *written], around(changed(keep_share=0.3), task=TITLES))
    kept = {e.confidence for e in outcome.kept if e.source == "annotated"}
    assert kept == {0.7, 0.8, 0.9}
    assert sum(e.source == "generated" for e in outcome.kept) == 3


SOURCES = ("annotated", "generated")
WORDS = ("fine", "Fine", "film", "plot", "dull", "one", "two", "three", "four", "five", "a@b.org")
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
examples = st.builds(
    lambda text, source, asked, output, confidence, problem: made(
        text,
        source,
        asked=asked if source == "generated" else None,
        output=output,
        confidence=confidence,
        distribution={"good": confidence, "bad": 1 - confidence},
        problem=problem,
    ),
    texts,
    st.sampled_from(SOURCES),
    st.sampled_from(["good", "bad"]),
    st.sampled_from(["good", "bad", "bad", None]),
    st.sampled_from([0.2, 0.5, 0.5, 0.9]),
    st.sampled_from([None, None, None, "unfinished"]),
)
surroundings = st.builds(
    around,
    st.builds(
        CurationConfig,
        verify=st.sampled_from(["off", "drop", "relabel"]),
        min_confidence=st.sampled_from([0.0, 0.4]),
        keep_share=st.sampled_from([0.3, 1.0]),
        min_characters=st.sampled_from([0, 10]),
        max_characters=st.sampled_from([25, 2000]),
        overlap_words=st.sampled_from([2, 4]),
        balance=st.booleans(),
        check_format=st.booleans(),
        personal_data=st.sampled_from(["redact", "drop", "keep"]),
        echo_words=st.just(2),
        echo_share=st.sampled_from([0, 0.5]),
        near_duplicate=st.sampled_from([0, 0.6, 0.8]),
        ratio=st.sampled_from([0.0, 1.0, 1.5]),
    ),
    st.sampled_from([SENTIMENT, TITLES]),
    st.lists(texts, max_size=3),
    st.lists(texts, max_size=3),
    st.lists(texts, max_size=3),
)


def _who(example: SyntheticExample) -> tuple[object, ...]:
    # verify may change output and confidence
    own_id = example.origin or example.id  # redaction changes the text, and keeps this
    return (own_id, example.source, example.asked, tuple(example.distribution.items()))


@given(st.lists(examples, max_size=25), surroundings, st.randoms(use_true_random=False))
def test_every_example_ends_in_one_place_whatever_the_order(
    given_examples: list[SyntheticExample], setting: FilterContext, order: random.Random
) -> None:
    outcome = run_filters(given_examples, setting)
    everything = [*outcome.kept, *(r.example for r in outcome.rejected)]
    assert Counter(map(_who, everything)) == Counter(map(_who, given_examples))

    shuffled = order.sample(given_examples, len(given_examples))
    assert run_filters(shuffled, setting) == outcome

    kept = outcome.kept
    assert len({example.id for example in kept}) == len(kept)
    assert not {example.id for example in kept} & setting.labelled_ids
    assert all(setting.heldout.collides(example.text) is None for example in kept)
    assert all(example.output is not None and example.problem is None for example in kept)
    ratio = setting.config.ratio
    if ratio:
        by_source = Counter(example.source for example in kept)
        assert all(n <= round(ratio * len(setting.labelled_ids)) for n in by_source.values())
    if setting.config.balance and not ratio and setting.task is SENTIMENT:
        counts = Counter(example.output for example in kept if example.source == "generated")
        assert counts["good"] == counts["bad"]


def rows_of(
    given_examples: Iterable[SyntheticExample], setting: FilterContext, spool: Spool
) -> list[Row]:
    labelled = setting.task.is_classification
    rows = [Row.of(example, spool, labelled=labelled) for example in given_examples]
    return sorted(rows, key=lambda row: row.order)


@pytest.mark.parametrize("name", EXAMPLE_FILTERS)
@settings(max_examples=30)
@given(example=examples, setting=surroundings)
def test_an_example_that_a_filter_let_pass_passes_it_again(
    name: str, example: SyntheticExample, setting: FilterContext
) -> None:
    found = EXAMPLE_FILTERS[name](example, setting)
    assert found == EXAMPLE_FILTERS[name](example, setting)
    if isinstance(found, Reason):
        assert found.detail
    else:
        assert EXAMPLE_FILTERS[name](found, setting) == found


@pytest.mark.parametrize("name", SET_FILTERS)
@settings(max_examples=30)
@given(given_examples=st.lists(examples, max_size=15), setting=surroundings)
def test_a_set_filter_has_a_verdict_for_each_row_and_rejects_nothing_twice(
    name: str, given_examples: list[SyntheticExample], setting: FilterContext
) -> None:
    with Spool() as spool:
        rows = rows_of(given_examples, setting, spool)
        if name != "duplicate":  # the others come after it
            rows = list({row.id: row for row in rows}.values())
        reasons = list(SET_FILTERS[name](rows, setting))
        assert len(reasons) == len(rows)
        assert all(reason is None or reason.detail for reason in reasons)
        kept = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
        if name != "share":  # which keeps a part of whatever it gets
            assert not any(SET_FILTERS[name](kept, setting))


@given(st.lists(examples, max_size=25), surroundings)
def test_what_was_kept_is_kept_again(
    given_examples: list[SyntheticExample], setting: FilterContext
) -> None:
    # after the draw of a ratio the labels need not be balanced any more
    update = {"keep_share": 1.0, "balance": setting.config.balance and not setting.config.ratio}
    config = setting.config.model_copy(update=update)
    setting = replace(setting, config=config)
    kept = run_filters(given_examples, setting).kept
    assert run_filters(kept, setting) == Outcome(kept, [])


def test_ten_thousand_examples_are_not_compared_with_each_other() -> None:
    # some 2 s where each is looked at once; where each is compared, longer than a test may take
    many = [
        made(f"film number {i} is about the plot of film {i}", "annotated") for i in range(10_000)
    ]
    # they share no word with the films: each film would be compared with every one that shares some
    heldout = [f"a test sentence with its count {i} and no more" for i in range(1000)]
    assert len(run_filters(many, around(heldout=heldout)).kept) == 10_000
