"""The filters that look into a text: personal data, format, language, echoes, near duplicates."""

# ruff: noqa: RUF001 - texts in other scripts and their punctuation

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest
from curation_examples import TITLES, around, changed, made, reasons, run_filters

from daftt_core.config import from_flat
from daftt_core.curation import check_language
from daftt_core.curation.detectors import find_personal_data, redact
from daftt_core.curation.duplicates import EchoIndex, bands_for, similarity
from daftt_core.errors import ConfigError
from daftt_core.preflight import preflight
from daftt_core.records import Example, TextSample, content_id
from daftt_core.tasks import Solved


@pytest.mark.parametrize(
    ("text", "region", "redacted"),
    [
        ("Write to jo.doe+x@mail.example.org.", "", "Write to [e-mail]."),
        ("<a@b.de>, (c@d.co.uk)", "", "<[e-mail]>, ([e-mail])"),
        ("ask müller@straße.de today", "", "ask [e-mail] today"),
        ("a film @ 9, not@an address", "", "a film @ 9, not@an address"),
        ("call +1 202 555 0123 now", "", "call [phone] now"),
        ("call +49 30 901820", "", "call [phone]"),
        ("call 202-456-1111 now", "US", "call [phone] now"),
        ("call 202-456-1111 now", "", "call 202-456-1111 now"),
        ("tel 030 901820, Berlin", "DE", "tel [phone], Berlin"),
        ("The 1984-85 season: 10 out of 10", "US", "The 1984-85 season: 10 out of 10"),
        # test numbers that card networks publish, and one with a wrong check digit
        ("card 4111 1111 1111 1111.", "", "card [card]."),
        ("card 5555-5555-5555-4444", "", "card [card]"),
        ("card 378282246310005", "", "card [card]"),
        ("card 4111 1111 1111 1112.", "", "card 4111 1111 1111 1112."),
        ("earned 3,141,592,653,589 dollars", "US", "earned 3,141,592,653,589 dollars"),
        ("a@b.org +1 202 555 0123 x@y.org", "", "[e-mail] [phone] [e-mail]"),
        # blanks, dashes, points and digits in other forms, between groups and in them
        ("4111\u00a01111\u202f1111\u20091111", "", "[card]"),
        ("4111\u20101111\u20131111\u20141111", "", "[card]"),
        ("4111\u22121111 \u2013 1111\u20111111", "", "[card]"),
        ("4111.1111.1111.1111", "", "[card]"),
        ("4111\u00b71111\u20221111\u30fb1111", "", "[card]"),
        ("卡号：４１１１　１１１１　１１１１　１１１１。", "", "卡号：[card]。"),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "", "[card]"),
        ("٤١١١–1111.１１１１\u00a01111", "", "[card]"),
        ("4111\u200b1111\u200b1111\u200b1111", "", "[card]"),
        ("4 1 1 1-1 1 1 1.1 1 1 1–1 1 1 1", "", "[card]"),
        ("41-11 1111.1111\u00a01111", "", "[card]"),
        ("3782.822463.10005", "", "[card]"),
        # other numbers beside them
        ("4111 1111 1111 1111 12/27 123", "", "[card] 12/27 123"),
        ("it is 4111 1111 1111 1111. 2 days ago", "", "it is [card]. 2 days ago"),
        ("No.4111111111111111", "", "No.[card]"),
        ("4111 1111 1111 1111 5555 5555 5555 4444", "", "[card] [card]"),
        # phones and e-mail addresses in other forms
        ("＋４９　３０　９０１８２０", "", "[phone]"),
        ("+1\u2013202\u2011555\u22120123", "", "[phone]"),
        ("+49\u00a030\u202f901820", "", "[phone]"),
        ("+49\u200b30\u200b901820", "", "[phone]"),
        ("jo＠example.org", "", "[e-mail]"),
        ("ｊｏ＠ｅｘａｍｐｌｅ．ｃｏｍ", "", "[e-mail]"),
        ("jo\u200b@exam\u00adple.org", "", "[e-mail]"),
        ("user@example.xn--p1ai.", "", "[e-mail]."),
        ("पता@उदाहरण.भारत", "", "[e-mail]"),
        ("“...jo@example.org”", "", "“...[e-mail]”"),
    ],
)
def test_personal_data_is_found_and_nothing_else(text: str, region: str, redacted: str) -> None:
    found = find_personal_data(text, region)
    assert redact(text, found) == redacted
    assert find_personal_data(redacted, region) == []


# each would pass for a card by its first digit, its length and its check digit
@pytest.mark.parametrize(
    "text",
    [
        "3.141592653589710",
        "0.4111111111111111",
        "5,4111111111111111",
        "3.141.592.653.586",
        "3 141 592 653 586",
        "5.12.2023 – 24.12.2027",
        "5/12/2023 - 24/12/2027",
        "2019 2020 2021 2024",
        "41.11 11.11 11.11 11.11",
    ],
)
def test_numbers_that_only_have_a_check_digit_are_no_cards(text: str) -> None:
    assert find_personal_data(text) == []


def test_a_number_longer_than_what_is_searched_at_once_hides_none() -> None:
    words, ones = "word " * 300, "1 " * 900
    for shift in range(0, 60, 7):
        text = f"{'x' * shift} {words}+1 202 555 0123 and {ones}then +49 30 901820"
        redacted = f"{'x' * shift} {words}[phone] and {ones}then [phone]"
        assert redact(text, find_personal_data(text)) == redacted


def test_a_redacted_example_has_a_new_id_and_keeps_its_origin() -> None:
    original = made("mail me at jo@example.org about the film", "annotated")
    kept = run_filters([original], around()).kept[0]
    assert kept.text == "mail me at [e-mail] about the film"
    assert kept.id == content_id(kept.text) != original.id
    assert kept.origin == original.id


def test_examples_that_differ_in_personal_data_only_are_duplicates() -> None:
    outcome = run_filters([made(f"mail {name}@example.org now") for name in "abc"], around())
    assert [r.reason for r in outcome.rejected] == ["duplicate", "duplicate"]


def test_personal_data_is_redacted_in_samples_that_were_not_chosen_too() -> None:
    samples = (
        TextSample(text="Call her", agreement=0.5, probability=0.9),
        TextSample(text="Mail ann@example.com", agreement=0.1, probability=0.9),
    )
    example = made("a text", output="Call her", samples=samples)
    (kept,) = run_filters([example], around(changed(personal_data="redact"), task=TITLES)).kept
    assert [one.text for one in kept.samples] == ["Call her", "Mail [e-mail]"]
    assert kept.output == "Call her"
    dropped = run_filters([example], around(changed(personal_data="drop"), task=TITLES))
    assert [each.reason for each in dropped.rejected] == ["personal_data"]


def test_personal_data_can_be_dropped_or_kept() -> None:
    example = made("mail me at jo@example.org")
    dropped = run_filters([example], around(changed(personal_data="drop"))).rejected[0]
    assert (dropped.reason, dropped.detail) == ("personal_data", "it holds: e-mail")
    assert dropped.example == example
    assert run_filters([example], around(changed(personal_data="keep"))).kept == [example]


def test_a_held_out_or_real_example_is_known_after_redaction_too() -> None:
    text = "mail me at jo@example.org"
    assert reasons([made(text)], around(heldout=[text])) == {"mail me at [e-mail]": "overlap"}
    assert reasons([made(text)], around(labelled=[text])) == {"mail me at [e-mail]": "copy"}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("a bell\x07 rings", "U+0007"),
        ("lost \ufffd character", "U+FFFD"),
        ("!!! ... ---", "no word"),
        ("a fine film\nOutput: positive", "'Output:'"),
        ("so very good so very good so very good so very good", "'so very good' over and over"),
        ("很好吃很好吃很好吃很好吃", "'很好吃' over and over"),
        ("美味しい美味しい美味しい美味しい", "over and over"),
        ("ดีมากดีมากดีมากดีมากดีมาก", "over and over"),
        ("好好好好好好好好", "'好好好' over and over"),
    ],
)
def test_what_is_no_proper_text_is_rejected_and_says_why(text: str, detail: str) -> None:
    rejected = run_filters([made(text)], around(changed(check_format=True))).rejected
    assert [r.reason for r in rejected] == ["format"]
    assert detail in rejected[0].detail


@pytest.mark.parametrize(
    "text",
    [
        "Its output: a mess of a film.",
        "Très drôle 👍🏽",
        "很好的电影",
        "2 + 2\tis\n4",
        "so so so so bad",
        "哈哈哈哈哈哈太好笑了",
        "すごーーーーーい映画でした",
        "มากกกกกกกเลยครับ",
    ],
)
def test_unusual_text_is_still_text(text: str) -> None:
    assert reasons([made(text)], around(changed(check_format=True))) == {}


def test_a_real_input_may_look_odd_and_what_the_teacher_writes_may_not() -> None:
    circle = "no no no no no no no"
    checked = changed(check_format=True)
    assert reasons([made(circle, "annotated")], around(checked)) == {}
    assert reasons([made(circle)], around(checked)) == {circle: "format"}
    title = made("a text", "annotated", output=circle)
    assert reasons([title], around(checked, task=TITLES)) == {"a text": "format"}
    # four times in forty words is no circle
    article = " and ".join(f"the united states of {i} and {i} more words here" for i in range(4))
    assert reasons([made(article)], around(checked)) == {}


ENGLISH = ["A taut, intelligent psychological drama.", "Too long.", "The plot is thin and silly."]
FOREIGN = ["Der Film ist viel zu lang und furchtbar langweilig.", "Le dernier film est très long."]


def test_what_is_clearly_in_another_language_is_rejected() -> None:
    examples = [made(text) for text in ENGLISH + FOREIGN]
    assert reasons(examples, around()) == {}
    outcome = run_filters(examples, around(changed(language="en")))
    assert {r.example.text: r.detail for r in outcome.rejected} == {
        FOREIGN[0]: "its language is de, not en",
        FOREIGN[1]: "its language is fr, not en",
    }


def test_a_language_nobody_knows_is_refused_before_anything_runs(tmp_path: object) -> None:
    check_language("")
    check_language("de")
    with pytest.raises(ConfigError, match=r"curation_language: 'xx' is not a language"):
        preflight(from_flat({"curation_language": "xx", "output": str(tmp_path)}))


LABELLED = [
    "a warm and funny film about two sisters and their old house by the sea",
    "the jokes arrive late and leave early in this long and loud sequel",
]


def test_an_echo_of_a_labelled_example_or_of_the_prompt_is_rejected() -> None:
    setting = around(changed(echo_words=3, echo_share=0.7), labelled=LABELLED)
    examples = [
        made(f"{LABELLED[0]} again"),
        made("two sisters and their dog live in an old house by the river"),
        made("Write a sentence."),
        made(f"{LABELLED[1]}!", "annotated"),
    ]
    outcome = run_filters(examples, setting)
    found = {r.example.text: (r.reason, r.collides_with) for r in outcome.rejected}
    assert found == {
        examples[0].text: ("echo", content_id(LABELLED[0])),
        examples[2].text: ("echo", None),
    }


def test_an_echo_of_a_demonstration_names_it_and_says_that_it_was_shown() -> None:
    setting = around(changed(echo_words=3, echo_share=0.7), labelled=LABELLED)
    shown, other = (content_id(text) for text in LABELLED[:2])
    examples = [
        made(f"{LABELLED[0]} again", shown=(other, shown)),
        made(f"{LABELLED[1]} again", shown=(shown,)),
        made("now complete the following example -", shown=(shown,)),
    ]
    found = {r.collides_with: r.detail for r in run_filters(examples, setting).rejected}
    assert set(found) == {shown, other, None}
    assert found[shown].endswith("a labelled example that its prompt showed")
    assert found[other].endswith("a labelled example")
    assert found[None].endswith("the prompt")


@pytest.mark.parametrize(("share", "rejected"), [(0.8, True), (0.81, False)])
def test_an_echo_states_its_share(share: float, rejected: bool) -> None:
    # 4 of the 5 runs of three words are those of the labelled example
    shown = ["one two three four five six"]
    setting = around(changed(echo_words=3, echo_share=share), labelled=shown)
    found = run_filters([made("one two three four five six seven")], setting).rejected
    assert ["80%" in each.detail for each in found] == [True] * rejected


@pytest.mark.parametrize(
    ("shown", "text", "rejected"),
    [
        ("这部电影的故事情节非常感人", "我说这部电影的故事情节非常感人", True),
        ("この映画は本当に面白かったです", "この映画は本当に面白かったですよ", True),
        ("อาหารอร่อยมากและพนักงานบริการดี", "อาหารอร่อยมากและพนักงานบริการดีครับ", True),
        ("이 영화는 정말 재미있었어요", "이영화는 정말 재미있었어요!", True),
        ("Not good", "Not good!", True),  # shorter than a run: the whole counts
        ("Not good at all", "Not good", False),
        ("这部电影的故事情节非常感人", "这家餐厅的服务态度非常差", False),
    ],
)
def test_an_echo_is_found_in_every_script_and_length(shown: str, text: str, rejected: bool) -> None:
    found = run_filters([made(text)], around(labelled=[shown])).rejected
    assert [each.reason for each in found] == ["echo"] * rejected


def test_words_of_many_examples_make_no_echo_of_one() -> None:
    setting = around(
        changed(echo_words=2, echo_share=0.9), labelled=["one two three", "three four five"]
    )
    assert run_filters([made("one two three four five")], setting).rejected == []


LONG = "a warm and funny film about two sisters and their old house by the sea in late summer"


def test_a_near_duplicate_names_the_one_that_stays_and_how_alike_they_are() -> None:
    texts = [LONG, LONG.replace("sea", "bay"), "something else altogether, with other words in it"]
    outcome = run_filters(map(made, texts), around(changed(near_duplicate=0.7)))
    assert len(outcome.kept) == 2
    rejected = outcome.rejected[0]
    assert rejected.reason == "near_duplicate"
    assert {rejected.example.text, *(e.text for e in outcome.kept)} == set(texts)
    expected = similarity(Example.of(texts[0]), Example.of(texts[1]))
    assert rejected.detail == f"{expected:.3f} like another synthetic example"
    assert rejected.collides_with in {content_id(texts[0]), content_id(texts[1])}


def test_similarity_is_that_of_sets_of_character_grams() -> None:
    # "abcdef" has abcde and bcdef, "abcdex" has abcde and bcdex: 1 of 3
    assert similarity(Example.of("abcdef"), Example.of("ABCDEX")) == pytest.approx(1 / 3)
    assert similarity(Example.of("ab"), Example.of("ab")) == 1
    assert similarity(Example.of("ab"), Example.of("ba")) == 0


def test_case_spacing_and_punctuation_make_no_difference_and_signs_do() -> None:
    assert similarity(Example.of("Too slow."), Example.of("too  slow!")) == 1
    assert similarity(Example.of("这部电影，好看"), Example.of("这部电影好看。")) == 1
    assert similarity(Example.of("👍"), Example.of("👎")) == 0
    assert similarity(Example.of("C++"), Example.of("C#")) == 0
    # as far apart as two English sentences of which one word in twelve differs
    chinese = "这家餐厅的服务非常好食物也很美味我们一家人都很喜欢"
    assert similarity(Example.of(chinese), Example.of(chinese.replace("美", "可"))) > 0.75


def test_a_pair_is_as_alike_as_the_part_that_differs_more() -> None:
    premise = "a long premise that many hypotheses of a data set share among each other"
    pairs = [made(premise, text_pair=f"{word} sentence") for word in ("first", "other", "third")]
    assert run_filters(pairs, around(changed(near_duplicate=0.6))).rejected == []


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.8, 0.9, 1.0])
def test_the_bands_find_nearly_all_at_the_threshold_and_little_below(threshold: float) -> None:
    bands, width = bands_for(threshold)
    assert bands * width <= 128
    assert 1 - (1 - threshold**width) ** bands >= 0.95
    assert 1 - (1 - (threshold / 4) ** width) ** bands < 0.02


def test_planted_near_duplicates_are_found_as_comparing_all_pairs_finds_them() -> None:
    choice = random.Random(3)
    words = ["".join(choice.choices("abcdefghij", k=5)) for _ in range(300)]
    texts = [" ".join(choice.choices(words, k=20)) for _ in range(60)]
    for text in texts[:40]:
        changed_words = text.split()
        for _ in range(choice.randint(1, 3)):
            changed_words[choice.randrange(20)] = choice.choice(words)
        texts.append(" ".join(changed_words))
    examples = list({made(text).id: made(text) for text in texts}.values())
    alike = {
        frozenset((a.id, b.id)) for a, b in combinations(examples, 2) if similarity(a, b) >= 0.7
    }
    outcome = run_filters(examples, around(changed(near_duplicate=0.7)))
    found = {frozenset((r.example.id, str(r.collides_with))) for r in outcome.rejected}
    assert len(alike) > 15
    assert found <= alike
    kept = {example.id for example in outcome.kept}
    missed = [pair for pair in alike if pair <= kept]
    assert len(missed) <= 0.05 * len(alike)


@pytest.mark.parametrize("value", [0.1, 0.59])
def test_a_threshold_that_would_compare_unlike_texts_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"near_duplicate.*must be 0, or at least 0\.6"):
        from_flat({"curation_near_duplicate": value})


def test_a_field_with_which_the_users_own_outputs_begin_a_line_is_no_fault() -> None:
    texts = ["Five.\nExplanation: two and three.", "Six.\nOutput: 6"]
    examples = [made(f"sum {n}", source="annotated", output=text) for n, text in enumerate(texts)]
    config = changed(check_format=True)
    assert len(run_filters(examples, around(config, TITLES)).rejected) == 2
    own = replace(around(config, TITLES), own_fields=frozenset({"explanation:"}))
    (rejected,) = run_filters(examples, own).rejected
    assert rejected.example.output == texts[1]
    assert rejected.detail == "the prompt's field 'Output:'"


def test_an_own_example_of_several_lines_is_recognized_across_its_lines() -> None:
    shown = Solved(input="one two three\nfour five six", output="x")
    task = TITLES.model_copy(update={"positive_examples": (shown,)})
    echo = EchoIndex(task, [], 4).closest(Example.of("one two three\nfour five six"), 1.0)
    assert echo == (1.0, None)
