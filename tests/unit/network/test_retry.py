"""Deadlines over calls, and pauses between attempts."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice

import pytest

from daftt_core.network.retry import growing_pauses, pause_asked_for, within


def test_what_does_not_end_is_left_to_itself() -> None:
    over = threading.Event()
    with pytest.raises(TimeoutError, match="not answered in full after 0 seconds"):
        within(0.05, over.wait)
    over.set()


def test_what_ends_in_time_gives_its_result_or_its_error() -> None:
    name = ContextVar[str]("name")
    name.set("outer")
    assert within(60, name.get) == "outer"
    with pytest.raises(KeyError, match="x"):
        within(60, lambda: {}["x"])
    with pytest.raises(SystemExit):
        within(60, lambda: exit(3))


def test_pauses_grow_and_differ() -> None:
    pauses = list(islice(growing_pauses(0.5, 8.0), 200))
    assert pauses[0] <= 0.5
    assert pauses[1] <= 1.0
    assert all(0 <= pause <= 8.0 for pause in pauses)
    assert max(pauses) > 4.0
    assert len(set(pauses)) == 200


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("3600", 120.0),
        ("9" * 5000, 120.0),
        ("", 0.0),
        (None, 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("\xb2", 0.0),
        ("soon", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 -0000", 0.0),
        ("Thu, 99 Jan 99999 00:00:00 GMT", 0.0),
    ],
)
def test_the_pause_that_a_server_asks_for_is_read_in_both_forms(
    text: str | None, seconds: float
) -> None:
    assert pause_asked_for(text) == seconds


def test_a_pause_until_tomorrow_is_asked_for_in_vain() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert pause_asked_for(format_datetime(tomorrow)) == 120.0
