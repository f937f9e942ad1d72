"""When a stream of new examples ends because they are no longer new."""

from __future__ import annotations

from pathlib import Path

import pytest

from daftt_core.config.synthesis import NOVELTY_WINDOW as WINDOW
from daftt_core.records import Example, SyntheticExample, read_jsonl
from daftt_core.synthesis.generating import Novelty
from daftt_core.synthesis.shards import BLOCK, run_streams

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def new(number: int) -> SyntheticExample:
    letter, other = ALPHABET[number % 26], ALPHABET[number // 26 % 26]
    return SyntheticExample(
        **Example.of(f"{letter * 9} {other * 9} {letter}{other}").model_dump(), source="generated"
    )


def unreadable(number: int) -> SyntheticExample:
    return SyntheticExample(id=f"unusable {number}", text="", source="generated", problem="empty")


def end_of(least: float, examples: list[SyntheticExample]) -> int | None:
    rule = Novelty(least)
    return next((n for n, one in enumerate(examples, 1) if rule.is_spent_by(one)), None)


def test_a_stream_ends_once_too_few_of_the_window_are_new() -> None:
    examples = [new(number) for number in range(30)] + [new(3)] * 30
    # 10 of 20 are half; with the 11th repetition there are 9
    assert end_of(0.5, examples) == 41
    assert end_of(1.0, examples) == 31
    assert end_of(0.05, examples) == 50
    assert end_of(0.0, examples) is None
    assert end_of(0.5, examples[:40]) is None


def test_it_never_ends_before_the_window_is_full() -> None:
    assert end_of(1.0, [new(1)] * WINDOW) == WINDOW
    assert end_of(1.0, [new(1)] * (WINDOW - 1)) is None


def test_near_duplicates_are_not_new_and_unreadable_ones_do_not_count() -> None:
    base = "the long and winding road that leads to your door will never disappear"
    alike = [
        SyntheticExample(**Example.of(f"{base} {letter}").model_dump(), source="generated")
        for letter in ALPHABET
    ]
    assert end_of(0.5, alike) == WINDOW
    mixed = [each for n, one in enumerate(alike) for each in (one, unreadable(n))]
    assert end_of(0.5, mixed) == 2 * WINDOW - 1
    assert end_of(1.0, [unreadable(n) for n in range(100)]) is None


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_what_is_written_depends_on_no_shard_and_no_interruption(
    tmp_path: Path, shards: int
) -> None:
    class Item:
        def __init__(self, stream: int, number: int) -> None:
            self.id, self.number = f"{stream}-{number:03d}", number
            self.repeats = number > 30 * stream

    streams = [[Item(stream, number) for number in range(2 * BLOCK)] for stream in range(1, 6)]
    calls = 0

    def make(block: list[Item]) -> list[SyntheticExample]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return [new(0) if one.repeats else new(one.number) for one in block]

    made = []
    for shard in range(shards):
        arguments = (tmp_path / str(shard), "write", streams[shard::shards], make)
        try:
            run_streams(*arguments, chunk_size=1, watch=lambda: Novelty(0.5).is_spent_by)
        except KeyboardInterrupt:
            run_streams(*arguments, chunk_size=1, watch=lambda: Novelty(0.5).is_spent_by)
        made += read_jsonl(tmp_path / str(shard) / "examples.jsonl", SyntheticExample)
    # stream n repeats itself from 30 n + 1 on, and 11 repetitions are more than half of 20
    ends = [min(30 * stream + 12, 2 * BLOCK) for stream in range(1, 6)]
    assert len(made) == sum(ends) == 42 + 72 + 102 + 128 + 128
    assert calls == 1 + sum(1 if end <= BLOCK else 2 for end in ends)
