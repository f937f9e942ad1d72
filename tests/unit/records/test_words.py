"""What counts as a word, in every script."""

# ruff: noqa: RUF001 - texts in other scripts and their punctuation

from __future__ import annotations

import pytest

from daftt_core.records.words import apart, bare, is_character, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't STOP, snake_case 3.5!", ["don", "t", "stop", "snake", "case", "3", "5"]),
        ("Café d’État", ["café", "d", "état"]),
        ("这家店 good", ["这", "家", "店", "good"]),
        ("ﾊﾝｶｸ", ["ハ", "ン", "カ", "ク"]),
        ("한국어 책", ["한", "국", "어", "책"]),
        ("ไม่ดี", ["ไ", "ม่", "ดี"]),
        ("ດີຫຼາຍ", ["ດີ", "ຫຼ", "າ", "ຍ"]),
        ("ក៏ល្អ", ["ក៏", "ល្", "អ"]),
        ("ကောင်း", ["ကော", "င်း"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # marks belong to their letter
        ("hel\u200blo wor\u00adld", ["hello", "world"]),
        ("... !?", []),
    ],
)
def test_words_are_runs_of_letters_or_single_characters(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_ascii_is_read_as_any_other_text() -> None:
    text = "The 3rd film_of 2020 -- it's \t good\n(very)"
    assert words_of(text) == words_of(f"{text} 店")[:-1]


def test_only_scripts_without_blanks_have_characters_for_words() -> None:
    assert all(map(is_character, words_of("这ひカ한ไม่ດីក៏ကော")))
    assert not any(map(is_character, words_of("word слово λέξη כתב كلمة शब्द ቃል")))


def test_a_text_without_its_punctuation_keeps_what_tells_it_from_others() -> None:
    assert bare("Too  slow...") == bare("“too slow”!") == "too slow"
    assert bare("재미 있다") == bare("재미있다.")
    assert (
        len({bare(text) for text in ("C", "C#", "C++", "5", "5%", "-5", "1.5", "15", "1 5")}) == 9
    )
    assert bare("!?") == "!?"


def test_characters_are_set_apart_and_nothing_else() -> None:
    assert apart("A test.") == "A test."
    assert apart("A店B").split() == ["A", "店", "B"]
