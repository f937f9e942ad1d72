"""What work uses is added up, by whoever does it."""

from __future__ import annotations

import threading
from contextvars import copy_context
from pathlib import Path

import pytest

from daftt_core.telemetry import Usage, count_bytes, count_tokens, include_usage, metered, use_gpus
from daftt_core.telemetry import usage as metering


def test_amounts_are_added_up_also_from_threads_of_the_work() -> None:
    with metered() as meter:
        count_tokens(read=10, written=2)
        thread = threading.Thread(target=copy_context().run, args=(_work_along,))
        thread.start()
        thread.join()
        used = meter.usage()
    assert (used.attempts, used.tokens_read, used.tokens_written) == (1, 11, 2)
    assert (used.bytes_stored, used.bytes_fetched) == (5, 7)
    count_tokens(read=1_000)  # outside: nobody asks
    assert meter.usage().tokens_read == 11


def _work_along() -> None:
    count_tokens(read=1)
    count_bytes(stored=5, fetched=7)


def test_gpus_count_for_the_whole_time_and_once_however_often_they_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with metered() as meter:
        now[0] = 130.0
        use_gpus(4, "NVIDIA L4")
        use_gpus(4, "NVIDIA L4")
        now[0] = 160.0
        used = meter.usage()
    assert used.seconds == 60
    assert used.gpu_seconds == {"NVIDIA L4": 240}


def test_a_container_is_charged_for_its_cpus_and_a_machine_for_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "cpu.max"
    monkeypatch.setattr(metering, "_CPU_LIMIT", limit)
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    limit.write_text("250000 100000\n")
    with metered() as meter, metered(owns_machine=False) as helper:
        now[0] = 10.0
        assert list(meter.usage().cpu_seconds.values()) == [25.0]
        assert helper.usage().cpu_seconds == {}
        limit.write_text("max 100000\n")
        assert sum(meter.usage().cpu_seconds.values()) < 10


def test_a_helping_process_adds_all_but_its_time() -> None:
    with metered() as meter:
        include_usage(Usage(attempts=1, seconds=50, gpu_seconds={"a": 3}, bytes_fetched=9))
        used = meter.usage()
    assert used.attempts == 1
    assert used.seconds < 50
    assert (used.gpu_seconds, used.bytes_fetched) == ({"a": 3}, 9)


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert Usage.model_validate_json('{"seconds": 3, "joules": 7}').seconds == 3
