"""A run in a bucket: its stages done once, gone on with, read through the cache, never half."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import Answer, FaultyProxy, Request

from daftt_core.config import Config, DataConfig
from daftt_core.data import prepare
from daftt_core.errors import DataError, GateError, StorageError
from daftt_core.preflight import preflight, resolve
from daftt_core.reporting import write_report
from daftt_core.storage import open_storage
from daftt_core.tasks import load_task
from daftt_core.telemetry import Usage
from daftt_core.workspace import (
    Run,
    read_stage,
    run_stage,
    run_statuses,
    stage_manifest,
    unfinished_usage,
)


@pytest.fixture
def run(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DAFTT_SCRATCH", raising=False)
    return Run(uri=f"{bucket}/runs/one", seed=1, task=load_task("movie-reviews"))


class Work:
    """Writes ``parts`` files, keeps those it finds, and stops before number ``stop_at``."""

    def __init__(self, parts: int = 3, stop_at: int | None = None) -> None:
        self.parts, self.stop_at = parts, stop_at
        self.written: list[str] = []

    def __call__(self, folder: Path) -> dict[str, Any]:
        for number in range(self.parts):
            if number == self.stop_at:
                raise KeyboardInterrupt
            path = folder / f"part-{number}.txt"
            if not path.exists():
                path.write_text(f"part {number}")
                self.written.append(path.name)
        return {"parts": self.parts}


def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "another machine"))


def downloads(proxy: FaultyProxy) -> list[Request]:
    return [r for r in proxy.requests if r.is_media and "manifest.json" not in r.path]


def test_a_stage_is_done_once_and_read_anywhere(
    proxy: FaultyProxy, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = run_stage(run, "students/real", ["settings"], Work())
    local = run.model_copy(update={"uri": str(tmp_path / "local")})
    assert run_stage(local, "students/real", ["settings"], Work()) == result, "as in a folder"
    folder, manifest = read_stage(run, "students/real", result.digest)
    assert not downloads(proxy), "this machine made it"
    another_machine(monkeypatch, tmp_path)
    work = Work()
    assert run_stage(run, "students/real", ["settings"], work) == result
    assert not work.written
    folder, manifest = read_stage(run, "students/real", result.digest)
    assert (folder / "part-2.txt").read_text() == "part 2"
    assert manifest.summary == {"parts": 3}
    fetched = len(downloads(proxy))
    assert fetched == 3
    assert read_stage(run, "students/real", result.digest)[0] == folder
    assert len(downloads(proxy)) == fetched, "the second reader fetches nothing"


def test_a_stage_that_was_interrupted_is_gone_on_with(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "data", [], Work(stop_at=2))
    with pytest.raises(StorageError, match=r"gs://.*/data: stage 'data' has not finished"):
        read_stage(run, "data")
    work = Work()
    run_stage(run, "data", [], work)
    assert work.written == ["part-2.txt"]


def test_work_that_could_not_be_stored_is_not_done_again(proxy: FaultyProxy, run: Run) -> None:
    proxy.plan = lambda request: Answer(403) if b"data/" in request.body_start else None
    with pytest.raises(StorageError, match="is read-only for this process"):
        run_stage(run, "data", [], Work())
    proxy.forget()
    work = Work()
    result = run_stage(run, "data", [], work)
    assert not work.written
    assert read_stage(run, "data", result.digest)[1].digest == result.digest


def test_a_stage_made_anew_is_not_taken_for_the_old_one(run: Run) -> None:
    old = run_stage(run, "data", ["settings"], Work())
    new = run_stage(run, "data", ["other"], Work(parts=2))
    with pytest.raises(StorageError, match="data: was rebuilt"):
        read_stage(run, "data", old.digest)
    folder, _ = read_stage(run, "data", new.digest)
    assert not (folder / "part-2.txt").exists()


def test_who_finishes_second_takes_the_result_that_stands(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = []

    def overtaken(folder: Path) -> dict[str, Any]:
        with monkeypatch.context() as other:
            another_machine(other, tmp_path)
            results.append(run_stage(run, "data", ["settings"], Work()))
        (folder / "by chance another.txt").write_text("x")
        return {}

    with caplog.at_level("INFO", "daftt"):
        assert run_stage(run, "data", ["settings"], overtaken) == results[0]
    assert "another process finished it first" in caplog.text

    def overtaken_by_other_settings(folder: Path) -> dict[str, Any]:
        with monkeypatch.context() as other:
            another_machine(other, tmp_path)
            results.append(run_stage(run, "data", ["other"], Work(parts=1)))
        return {}

    with pytest.raises(StorageError, match="data: was committed by another process meanwhile"):
        run_stage(run, "data", ["third"], overtaken_by_other_settings)
    assert read_stage(run, "data")[1].digest == results[1].digest


def test_a_lost_object_makes_the_stage_be_done_again(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    result = run_stage(run, "data", [], Work())
    open_storage(run.uri).delete([f"data/{result.digest}/part-1.txt"])
    work = Work()
    assert run_stage(run, "data", [], work) == result
    assert len(work.written) == 3
    assert "objects that its manifest lists are missing" in caplog.text


def test_a_changed_copy_in_the_cache_is_fetched_again(run: Run) -> None:
    result = run_stage(run, "data", [], Work())
    folder, _ = read_stage(run, "data", result.digest)
    (folder / "part-1.txt").write_text("x")
    assert (read_stage(run, "data", result.digest)[0] / "part-1.txt").read_text() == "part 1"


def test_the_status_tells_how_a_stage_ended(run: Run) -> None:
    def work(folder: Path) -> dict[str, Any]:
        raise GateError("the teacher is worse")

    with pytest.raises(GateError):
        run_stage(run, "assessment", [], work)
    run_stage(run, "data", [], Work())
    failed, done = run_statuses(run)
    assert (failed.stage, failed.state, failed.message, failed.exit_code) == (
        "assessment",
        "failed",
        "the teacher is worse",
        8,
    )
    assert (done.stage, done.state) == ("data", "done")


def test_preflight_and_report_work_in_a_bucket(run: Run, tmp_path: Path) -> None:
    config = Config.model_validate({"run": {"output": run.uri}})
    result = preflight(config)
    found = resolve(config)
    shutil.rmtree(tmp_path / "cache")
    read_stage(found, "preflight", result.digest)
    report = write_report(found)
    page = read_stage(found, "report", report.digest)[0] / "report.html"
    assert found.name in page.read_text()


def test_preflight_stops_where_the_bucket_cannot_be_written(proxy: FaultyProxy, run: Run) -> None:
    proxy.plan = lambda request: Answer(403) if request.method == "POST" else None
    with pytest.raises(StorageError, match="is read-only for this process"):
        preflight(Config.model_validate({"run": {"output": run.uri}}))


def test_a_wrong_cache_size_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_stage(run, "data", [], Work())
    monkeypatch.setenv("DAFTT_CACHE_GB", "much")
    with pytest.raises(Exception, match="DAFTT_CACHE_GB: 'much' is not a number"):
        read_stage(run, "data", result.digest)


def test_bytes_that_moved_and_attempts_on_other_machines_are_counted(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "data", [], Work(stop_at=2))
    [lost] = unfinished_usage(run).values()
    assert (lost.attempts, lost.bytes_fetched) == (1, 0)
    another_machine(monkeypatch, tmp_path)
    made = run_stage(run, "data", [], Work())
    used = usage_of(run, "data")
    assert used.attempts == 2
    assert 18 <= used.bytes_stored < 10_000  # three files of six bytes, and notes about them
    assert unfinished_usage(run) == {}
    another_machine(monkeypatch, tmp_path / "third")

    def read(folder: Path) -> dict[str, Any]:
        read_stage(run, "data", made.digest)
        read_stage(run, "data", made.digest)
        return {}

    run_stage(run, "teacher", [], read)
    fetched = usage_of(run, "teacher").bytes_fetched
    manifest = open_storage(run.uri).read("data/manifest.json")
    assert manifest is not None
    assert fetched == 18 + 2 * len(manifest.data), "the files once, its manifest each time"


def usage_of(run: Run, stage: str) -> Usage:
    manifest = stage_manifest(run, stage)
    assert manifest is not None
    assert manifest.usage is not None
    return manifest.usage


def test_data_in_a_bucket_are_read_by_pattern_and_anew(run: Run, bucket: str) -> None:
    def put(week: int, first: int) -> None:
        rows = [
            {"text": f"film number {n}", "label": ["negative", "positive"][n % 2]}
            for n in range(first, first + 100)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        open_storage(f"{bucket}/labels").write(f"week-{week}.jsonl", lines)

    put(1, 0)
    open_storage(f"{bucket}/labels").write("notes.txt", b"not data")
    open_storage(f"{bucket}/labels").write("deeper/week-1.jsonl", b"{}")
    config = DataConfig(train=f"{bucket}/labels/week-*.jsonl")
    first = prepare(run, config)
    assert sum(first.summary["sizes"].values()) == 100
    assert prepare(run, config) == first
    put(2, 100)
    second = prepare(run, config)
    assert sum(second.summary["sizes"].values()) == 200
    assert prepare(run, DataConfig(train=f"{bucket}/labels")) == second
    with pytest.raises(DataError, match=r"^data_train: gs://.*/none\.csv: there is no such file$"):
        prepare(run, DataConfig(train=f"{bucket}/labels/none.csv"))
