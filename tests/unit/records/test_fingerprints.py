"""Recognizing held-out examples by their fingerprints."""

# ruff: noqa: RUF001 - texts in other scripts and their punctuation

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.errors import DataError
from daftt_core.records import Example, content_id
from daftt_core.records.fingerprints import Fingerprint, Heldout, write_fingerprints

LONG = Example.of("One of the best and most moving films of this long and dusty summer.")
SHORT = Example.of("Too slow.")
PAIR = Example.of("The cat sat on the mat.", "Some animal was on a small carpet today.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_fingerprints(tmp_path / "heldout.json", [LONG, SHORT, PAIR])
    return tmp_path / "heldout.json"


def test_the_same_input_is_found_in_any_spelling(path: Path) -> None:
    heldout = Heldout.load(path, words=5)
    assert len(heldout) == 3
    assert heldout.collides(" TOO  slow.") == SHORT.id == content_id("too slow.")
    assert heldout.collides(PAIR.text, PAIR.text_pair) == PAIR.id


@pytest.mark.parametrize(("words", "found"), [(4, True), (5, True), (6, False)])
def test_a_shared_run_of_words_counts_from_the_asked_length(
    path: Path, words: int, found: bool
) -> None:
    text = "It is the BEST -- and most; moving story."
    assert Heldout.load(path, words).collides(text) == (LONG.id if found else None)


def test_the_same_words_in_another_order_are_no_overlap(path: Path) -> None:
    words = LONG.text.rstrip(".").split()
    assert Heldout.load(path, words=3).collides(" ".join(reversed(words))) is None


def test_a_text_shorter_than_the_run_is_found_only_as_a_whole(path: Path) -> None:
    heldout = Heldout.load(path, words=5)
    assert heldout.collides("Far too slow.") is None
    assert heldout.collides("Too slow.") == SHORT.id


def test_both_texts_of_a_pair_count_but_not_across_their_border(path: Path) -> None:
    heldout = Heldout.load(path, words=5)
    assert heldout.collides("No.", "I know that some animal was on a roof.") == PAIR.id
    assert heldout.collides("Sat on the mat. Some animal was") is None
    assert heldout.collides("sat on the mat", "some animal was") is None


def test_no_text_is_written(path: Path) -> None:
    content = path.read_text().casefold()
    assert not any(word in content for word in ("moving", "dusty", "carpet", "slow"))


def test_the_file_does_not_depend_on_the_order_of_examples(path: Path, tmp_path: Path) -> None:
    write_fingerprints(tmp_path / "other.json", [PAIR, SHORT, LONG])
    assert (tmp_path / "other.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"examples": [{"id": 1}]}', b"\xff"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "heldout.json").write_bytes(content)
    with pytest.raises(DataError, match=r"heldout\.json: does not hold the fingerprints"):
        Heldout.load(tmp_path / "heldout.json", words=5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot be read: No such file"):
        Heldout.load(tmp_path / "none.json", words=5)


# each a held-out text and one that was made from it
NEAR_COPIES = [
    (
        "这家餐厅的服务非常好，食物也很美味，我会再来的。",
        "这家餐厅的服务非常好，食物也很美味，我还会再来。",
    ),
    ("这部电影非常好看", "这部 电影非常好看！"),
    ("物流很快，包装完好无损", "物流很快, 包装也完好无损"),
    ("スタッフの対応がとても悪かった", "スタッフの対応が凄く悪かった"),
    ("この映画は面白かったです", "ｺﾉ映画は面白かったです！"),
    ("배송이 빠르고 품질이 좋아요", "배송이 빠르고품질이 아주 좋아요"),
    ("อาหารอร่อยมากและพนักงานบริการดี", "อาหารอร่อยมาก และพนักงานก็บริการดี"),
    ("ອາຫານແຊບຫຼາຍ ບໍລິການດີ", "ອາຫານແຊບຫຼາຍບໍລິການດີເດີ"),
    ("ម្ហូបឆ្ងាញ់ណាស់ សេវាកម្មល្អ", "ម្ហូបឆ្ងាញ់ណាស់សេវាកម្មក៏ល្អ"),
    ("အစားအစာ အရမ်းကောင်းတယ်", "အစားအစာအရမ်းကောင်းပါတယ်"),
    ("एक बहुत ही अच्छी फिल्म थी", "एक बहुत ही अच्छी फिल्म है"),
    ("Too slow.", "too slow!!"),
    ("Terrible service, cold food", "Terrible service and cold food!"),
    ("The battery died after two days", "The battery died after two weeks"),
    ("The battery died after two days", "Honestly, the battery died after two days: avoid it"),
    ("Honestly, the battery died after two days: avoid it", "The battery died after two days"),
    ("The food was great but the waiter was rude", "The food was good but the waiter was rude"),
    ("a wel\u00adcome sur\u200bprise of a film", "A welcome surprise of a film"),
    ("👍👍", "👍 👍"),
]


@pytest.mark.parametrize(("held", "copy"), NEAR_COPIES)
def test_a_near_copy_is_found_in_every_script_and_length(held: str, copy: str) -> None:
    example = Example.of(held)
    assert Heldout([Fingerprint.of(example)], words=8).collides(copy) == example.id


# sentences of one subject in one language, and short ones that differ in what they say
DIFFERENT = [
    ("这家餐厅的服务很好", "这家酒店的房间很干净"),
    ("这部电影很好看", "这部电影不好看"),
    ("我昨天在网上买了一双运动鞋", "我昨天在超市买了一箱矿泉水"),
    ("この店のラーメンはとても美味しかった", "この店の店員はあまり親切ではなかった"),
    ("이 식당은 음식이 정말 맛있어요", "이 호텔은 방이 너무 작았어요"),
    ("ร้านนี้อาหารอร่อยมากและราคาไม่แพง", "ร้านนี้พนักงานพูดจาไม่ดีและรอนานมาก"),
    ("ประเทศไทยมีอาหารอร่อยหลายอย่าง", "ประเทศไทยมีฝนตกหนักในเดือนตุลาคม"),
    ("यह फिल्म बहुत अच्छी थी", "यह होटल बहुत महंगा है"),
    ("The soup was cold", "The soup was warm"),
    ("I love this film", "I hate this film"),
    ("The battery died after two days", "The screen broke when I dropped it"),
    ("Too slow.", "Far too slow."),
    ("C++", "C#"),
    ("1.5", "1 5"),
    ("-1", "1"),
    ("great 👍", "great 👎"),
]


@pytest.mark.parametrize(("held", "other"), DIFFERENT)
def test_ordinary_different_texts_are_no_overlap(held: str, other: str) -> None:
    for one, two in ((held, other), (other, held)):
        assert Heldout([Fingerprint.of(Example.of(one))], words=8).collides(two) is None


def test_two_characters_of_a_script_without_blanks_are_worth_a_word() -> None:
    held = [Fingerprint.of(Example.of("明天早上八点半我们在火车站门口集合出发"))]
    shared, rest = "明天早上八点半我们", "去爬山好不好呀你们觉得怎么样"
    assert Heldout(held, words=4).collides(shared[:8] + rest) is not None
    assert Heldout(held, words=4).collides(shared[:7] + rest) is None


def test_short_texts_of_pairs_count_together() -> None:
    held = [Fingerprint.of(Example.of("Is it far?", "No."))]
    assert Heldout(held, words=8).collides("Is it far", "no!") is not None
    assert Heldout(held, words=8).collides("Was it good?", "No.") is None


def test_fingerprints_of_another_form_are_refused(path: Path) -> None:
    path.write_text(path.read_text().replace('"form":2', '"form":1'))
    with pytest.raises(DataError, match="run the pipeline again"):
        Heldout.load(path, words=8)


word = st.sampled_from(["a", "b", "c"])


def in_common(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence, by the textbook's recurrence."""
    lengths = [0] * (len(other) + 1)
    for a in one:
        before = lengths
        lengths = [0]
        for place, b in enumerate(other):
            best = max(before[place + 1], lengths[place])
            lengths.append(before[place] + 1 if a == b else best)
    return lengths[-1]


def runs(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


@given(st.lists(word, max_size=12), st.lists(word, max_size=12), st.integers(1, 9))
def test_overlap_is_what_comparing_the_words_finds(
    held: list[str], new: list[str], words: int
) -> None:
    shorter, longer = sorted((len(held), len(new)))
    length = words if shorter >= words or shorter <= 4 else shorter
    expected = (
        held == new
        or bool(runs(held, length) & runs(new, length))
        or (longer > 4 and in_common(held, new) >= 0.8 * longer)
    )
    heldout = Heldout([Fingerprint.of(Example.of(" ".join(held)))], words)
    assert (heldout.collides(" ".join(new)) is not None) == expected


@given(st.lists(st.lists(word, max_size=9), max_size=5), st.lists(word, max_size=9))
def test_many_held_out_texts_are_found_as_each_by_itself(
    held: list[list[str]], new: list[str]
) -> None:
    each = [Fingerprint.of(Example.of(" ".join(words))) for words in held]
    text = " ".join(new)
    alone = any(Heldout([one], 6).collides(text) for one in each)
    assert (Heldout(each, 6).collides(text) is not None) == alone
