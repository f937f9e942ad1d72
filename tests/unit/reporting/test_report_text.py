"""The tables of the terminal, and the way numbers and strange text are shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import evaluation, make_run

from daftt_core.records import visible
from daftt_core.reporting import collect, stage_table, summary_table
from daftt_core.reporting.text import (
    NONE,
    gain,
    memory,
    milliseconds,
    number,
    p_value,
    percent,
    share,
    size,
)


def _squeezed(line: str) -> str:
    return " ".join(line.split())


def test_the_table_of_arms() -> None:
    lines = summary_table(evaluation()).splitlines()
    assert _squeezed(lines[3]) == ("real+annotated * 964 82.1 1.1 +12.9 +10.4 to +15.5 <0.001 81%")
    assert _squeezed(lines[2]) == f"real 64 69.2 2.4 {NONE} {NONE} {NONE} {NONE}"
    assert lines[-1] == (
        "accuracy in percent on 1,000 test examples, 3 seeds; gains in points over real; "
        "*: chosen on dev"
    )
    assert len({len(line) for line in lines[:-1]}) == 1


def test_the_table_of_stages(tmp_path: Path) -> None:
    lines = stage_table(collect(make_run(tmp_path / "run")).stages).splitlines()
    assert lines[0].split() == ["stage", "time", "peak", "memory"]
    assert "teacher 3 min 51 s 3.10 GiB" in map(_squeezed, lines)
    assert _squeezed(lines[-1]) == "total 15 min 48 s 3.10 GiB"
    names = [line.split()[0] for line in lines[2:-1]]
    assert names.index("data") < names.index("teacher") < names.index("evaluation")
    assert len({len(line) for line in lines}) == 1


def test_the_table_of_a_run_that_has_not_begun(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", until="preflight")
    (run.folder / "preflight" / "manifest.json").unlink()
    assert _squeezed(stage_table(collect(run).stages).splitlines()[-1]) == f"total 0 s {NONE}"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.8214), "82.1"),
        (percent(-0.02), "\u22122.0"),
        (percent(None), "\u2013"),
        (gain(12.94), "+12.9"),
        (gain(-1.25), "\u22121.2"),
        (gain(None), "\u2013"),
        (gain(-0.04), "+0.0"),  # a difference that rounds to nothing has no direction
        (percent(-0.0004), "0.0"),
        (share(-0.004), "0%"),
        (milliseconds(0.00183), "1.8 ms"),
        (milliseconds(0.000042), "0.042 ms"),
        (milliseconds(0.1234), "120 ms"),
        (share(0.807), "81%"),
        (p_value(0.0004), "<0.001"),
        (p_value(0.0312), "0.031"),
        (p_value(1.0), "1.000"),
        (number(1500), "1,500"),
        (memory(3 * 2**30), "3.00 GiB"),
        (memory(0), "\u2013"),
        (size(999), "999 B"),
        (size(90_868_370), "90.9 MB"),
        (size(1_500_000_000), "1.5 GB"),
    ],
)
def test_numbers(shown: str, expected: str) -> None:
    assert shown == expected


def test_control_characters_become_visible() -> None:
    assert (
        visible("a\x00b\x1b[31m\x7f\x85\u202e\ud800\ufffe") == "a␀b␛[31m␡\ufffd\ufffd\ufffd\ufffd"
    )
    assert visible("line\nnext\tcell") == "line\nnext\tcell"
    assert visible("שלום 你好 👩‍👩‍👧 é") == "שלום 你好 👩‍👩‍👧 é"


ANY_TEXT = st.text(st.characters(max_codepoint=sys.maxunicode, exclude_categories=()))


@given(ANY_TEXT)
def test_visible_text_can_always_be_written_and_stays_the_same_length(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert len(shown) == len(text)
    assert visible(shown) == shown
