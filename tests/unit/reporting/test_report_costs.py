"""The report's table of time and costs: its timeline and the columns that say something."""

from __future__ import annotations

import pytest

from daftt_core.accounting import Ledger, StageAmount
from daftt_core.reporting.content import StageRecord
from daftt_core.reporting.costs import shares_sentence, stage_costs
from daftt_core.telemetry import Usage

DAY = 86_400.0


def record(name: str, finished: float, seconds: float) -> StageRecord:
    return StageRecord(
        name=name, key="0", files=(), seconds=seconds, peak_memory_bytes=2**30, finished=finished
    )


def amount(name: str, seconds: float, **more: object) -> StageAmount:
    usage = {"attempts": 1, "seconds": seconds, "cpu_seconds": {"a CPU": 2 * seconds}}
    fields = {name: more.pop(name) for name in ("finished", "copied") if name in more}
    return StageAmount(name=name, usage=Usage.model_validate({**usage, **more}), **fields)


def test_stages_at_the_same_time_overlap_and_pauses_take_no_room() -> None:
    """Two stages of 60 s side by side, a night without work, and one of 40 s."""
    ledger = Ledger(stages=(amount("data", 60), amount("students/real", 60), amount("teacher", 40)))
    records = [
        record("data", 100.0, 60),
        record("students/real", 130.0, 60),
        record("teacher", DAY, 40),
    ]
    table = stage_costs(ledger, records)
    assert table.seconds == 60 + 30 + 40
    bars = [(row.start, row.length) for row in table.rows]
    whole = [(0, 60), (30, 60), (90, 40)]
    assert bars == [
        (pytest.approx(start / 130, abs=1e-4), pytest.approx(length / 130, abs=1e-4))
        for start, length in whole
    ]


def test_work_that_is_not_of_this_run_or_not_finished_has_no_bar() -> None:
    stages = (
        amount("data", 10),
        amount("teacher", 40, copied=True),
        amount("synthetic/annotated-000-of-001", 5, finished=False),
    )
    records = [record("data", 100.0, 10), record("teacher", 120.0, 40)]
    table = stage_costs(Ledger(stages=stages), records)
    assert [(row.name, row.start) for row in table.rows] == [
        ("data", 0.0),
        ("teacher, copied", None),
        ("synthetic/annotated-000-of-001, not finished", None),
    ]
    assert table.seconds == 10
    assert table.rows[2].cells[-2:] == ["\u2013", "\u2013"]  # neither memory nor disk are known


def test_a_column_is_there_if_one_stage_has_something_in_it() -> None:
    quiet = stage_costs(Ledger(stages=(amount("data", 10),)), [record("data", 100.0, 10)])
    assert list(quiet.columns) == ["Time", "CPU-hours", "Peak memory", "On disk"]
    busy = Ledger(
        stages=(
            amount("data", 10),
            amount("teacher", 10, attempts=2, tokens_read=7, bytes_stored=9),
        )
    )
    assert list(stage_costs(busy, []).columns) == [
        *("Attempts", "Time", "CPU-hours", "Stored", "Tokens read")
    ]


def test_nothing_that_was_not_used_is_named_in_the_price_of_an_example() -> None:
    stages = (amount("data", 10), amount("curated", 20))
    assert shares_sentence(Ledger(stages=stages, kept_examples=10)) == (
        "Each kept synthetic example took 3 s on the clock, 6 s of a CPU."
    )
    assert shares_sentence(Ledger(stages=stages)) == ""
    priced = tuple(stage.model_copy(update={"cost": 0.5}) for stage in stages)
    ledger = Ledger(stages=priced, kept_examples=10, gain=2.0, prices="a list", currency="EUR")
    assert shares_sentence(ledger) == (
        "Each kept synthetic example took 3 s on the clock, 6 s of a CPU, and cost 0.1 EUR; each "
        "of the 2.0 points gained took 15 s on the clock, 30 s of a CPU, and cost 0.5 EUR."
    )


def test_many_columns_share_their_cells_in_pairs() -> None:
    more = {"attempts": 2, "tokens_read": 7, "tokens_written": 5, "bytes_stored": 9}
    one = amount("teacher", 10, gpu_seconds={"a GPU": 10.0}, **more)
    table = stage_costs(Ledger(stages=(one,)), [record("teacher", 100.0, 10)])
    assert [[table.columns[index] for index in group] for group in table.groups] == [
        ["Time", "Attempts"],
        ["GPU-hours", "CPU-hours"],
        ["Stored"],
        ["Tokens read", "Tokens written"],
        ["Peak memory", "On disk"],
    ]
