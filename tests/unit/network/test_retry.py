"""Deadlines over calls, and pauses between attempts."""

from __future__ import annotations

import random
import threading
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from daftt_core.network.retry import Retry, TransientError, pause_asked_for, within


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


class Remote:
    """Fails as it is told, and says how long it was waited for and how much time was left."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.pauses, self.left = list(errors), list[float](), list[float]()

    def __call__(self, seconds_left: float) -> str:
        self.left.append(seconds_left)
        if self.errors:
            raise self.errors.pop(0)
        return "an answer"


def test_pauses_grow_and_differ() -> None:
    remote = Remote(*[TransientError("busy")] * 200)
    retry = Retry(first_pause_seconds=0.5, longest_pause_seconds=8.0, sleep=remote.pauses.append)
    assert retry.call(remote) == "an answer"
    pauses = remote.pauses
    assert pauses[0] <= 0.5
    assert pauses[1] <= 1.0
    assert all(0 <= pause <= 8.0 for pause in pauses)
    assert max(pauses) > 4.0
    assert len(set(pauses)) == 200


def test_pauses_do_not_follow_the_seed_of_a_run() -> None:
    drawn = []
    for _ in range(2):
        random.seed(1)
        remote = Remote(TransientError("busy"))
        Retry(sleep=remote.pauses.append).call(remote)
        drawn += remote.pauses
    assert drawn[0] != drawn[1]
    random.seed(1)
    first = random.random()
    random.seed(1)
    Retry(sleep=lambda _: None).call(Remote(TransientError("busy")))
    assert random.random() == first


def test_no_pause_is_shorter_than_the_remote_asks_for() -> None:
    remote = Remote(TransientError("busy", 100.0), TransientError("busy"))
    Retry(longest_pause_seconds=3.0, sleep=remote.pauses.append).call(remote)
    assert remote.pauses[0] == 100.0
    assert remote.pauses[1] <= 3.0


def test_what_does_not_pass_is_raised_at_once() -> None:
    remote = Remote(KeyError("x"))
    with pytest.raises(KeyError, match="x"):
        Retry().call(remote)
    assert len(remote.left) == 1


def test_a_call_may_be_repeated_after_some_errors_only() -> None:
    class BusyError(TransientError):
        pass

    remote = Remote(BusyError("busy"), TransientError("lost"))
    with pytest.raises(TransientError, match="lost"):
        Retry(sleep=lambda _: None).call(remote, on=BusyError)
    assert len(remote.left) == 2


def test_no_more_attempts_are_made_than_allowed() -> None:
    remote = Remote(*(TransientError(f"error {number}") for number in range(9)))
    with pytest.raises(TransientError, match="error 4"):
        Retry(attempts=5, sleep=remote.pauses.append).call(remote)
    assert len(remote.left) == 5
    assert len(remote.pauses) == 4


def test_one_deadline_holds_for_attempts_and_pauses() -> None:
    remote = Remote(*(TransientError(f"error {number}") for number in range(10_000)))
    with pytest.raises(TransientError, match="error"):
        Retry(0.1, first_pause_seconds=0.01, longest_pause_seconds=0.02).call(remote)
    assert len(remote.left) > 2
    assert all(0 < seconds <= 0.1 for seconds in remote.left)
    assert remote.left == sorted(remote.left, reverse=True)
    remote = Remote(TransientError("come back later", 60.0))
    with pytest.raises(TransientError, match="come back later"):
        Retry(5.0, sleep=remote.pauses.append).call(remote)
    assert remote.pauses == [], "it would be over before"


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
