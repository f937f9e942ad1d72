"""An unfinished stage of a run in a bucket: what it has done outlives its machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import Answer, FaultyProxy, Request, Slow

from daftt_core.records import Example, SyntheticExample
from daftt_core.storage import commit, open_storage, sound_manifest
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, StageResult, read_stage, run_stage
from daftt_core.workspace import progress as keeping
from daftt_core.workspace.progress import Machine, keep

PIECES = ("0.txt", ".chunks/1.txt", ".checkpoints/checkpoint-2", "seed-3", "seed-4")


@pytest.fixture
def run(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    use_machine("B", monkeypatch, tmp_path)
    return Run(uri=f"{bucket}/runs/one", seed=1, task=load_task("movie-reviews"))


def use_machine(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(folder / name / "cache"))
    monkeypatch.setenv("DAFTT_SCRATCH", str(folder / name / "scratch"))


def kept(run: Run) -> list[str]:
    """What is kept of unfinished stages, without the keys."""
    names = open_storage(run.uri).entries(".progress/students/real/")
    pieces = ["/".join(name.split("/")[4:]) for name in names]
    others = ("content/", "files/.usage/")
    return [piece for piece in pieces if not piece.startswith(others)]


def wait_until_kept(run: Run, name: str) -> None:
    deadline = time.monotonic() + 120
    while name not in kept(run):
        assert time.monotonic() < deadline, kept(run)
        time.sleep(0.05)


class Work:
    """Makes the pieces that it does not find; waits for its end before piece ``stop_at``."""

    def __init__(self, stop_at: str = "") -> None:
        self.stop_at = stop_at
        self.made: list[str] = []

    def __call__(self, folder: Path) -> dict[str, Any]:
        for name in PIECES:
            path = folder / name
            if name == self.stop_at:
                time.sleep(600)
            if path.suffix and not path.exists():
                path.parent.mkdir(exist_ok=True)
                path.write_text(name)
            elif not path.suffix and sound_manifest(path, "making it again") is None:
                (path / "deep").mkdir(parents=True)
                (path / "deep" / "weights.bin").write_text(name)
                commit(path, name, {"loss": 0.5})
            else:
                continue
            self.made.append(name)
            keep(path)
        return {"pieces": len(PIECES)}


def work_elsewhere(run: Run, folder: Path, stop_at: str) -> subprocess.Popen[bytes]:
    """Start the stage in a process that has machine A's folders."""
    program = (
        "import sys; from test_gcs_progress import *; "
        "run_stage(Run.model_validate_json(sys.argv[1]), 'students/real', [], Work(sys.argv[2]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, run.model_dump_json(), stop_at],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DAFTT_CACHE": str(folder / "A" / "cache"),
            "DAFTT_SCRATCH": str(folder / "A" / "scratch"),
        },
    )


def undisturbed(run: Run, folder: Path, work: Any) -> StageResult:
    return run_stage(
        run.model_copy(update={"uri": str(folder / "calm")}), "students/real", [], work
    )


def test_a_stage_killed_on_one_machine_is_gone_on_with_on_another(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with work_elsewhere(run, tmp_path, "seed-4") as process:
        try:
            wait_until_kept(run, "folders/seed-3.json")
        finally:
            process.send_signal(signal.SIGKILL)
    shutil.rmtree(tmp_path / "A")
    work = Work()
    with caplog.at_level("INFO", "daftt"):
        result = run_stage(run, "students/real", [], work)
    assert work.made == ["seed-4"]
    assert "resuming with 2 files and 2 folders" in caplog.text
    assert result == undisturbed(run, tmp_path, Work())
    folder, _ = read_stage(run, "students/real", result.digest)
    assert (folder / "seed-3" / "deep" / "weights.bin").read_text() == "seed-3"
    assert not kept(run), "a finished stage needs no more than its result"


def stop(run: Run, work: Any, key: str = "") -> None:
    """Do a stage's work, which does not come to its end."""
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "students/real", [key], work)


def test_finished_chunks_are_not_made_again_elsewhere(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from daftt_core.synthesis.shards import run_streams  # torch, which the killed process can spare

    made: list[int] = []
    texts = [Example.of(f"text {n}") for n in range(20)]

    def work(stop_at: int) -> Any:
        def make(block: Sequence[Example]) -> list[SyntheticExample]:
            numbers = [texts.index(one) for one in block]
            if stop_at in numbers:
                raise KeyboardInterrupt
            made.extend(numbers)
            return [SyntheticExample(id=o.id, text=o.text, source="annotated") for o in block]

        streams = [texts[start : start + 4] for start in range(0, 20, 4)]
        return lambda folder: run_streams(folder, "annotate", streams, make, chunk_size=4)

    stop(run, work(stop_at=13))
    use_machine("C", monkeypatch, tmp_path)
    result = run_stage(run, "students/real", [""], work(stop_at=-1))
    assert made == list(range(20))
    calm = run.model_copy(update={"uri": str(tmp_path / "calm")})
    assert result == run_stage(calm, "students/real", [""], work(stop_at=-1))
    assert not (tmp_path / "calm" / ".progress").exists()


class Checkpoints:
    """Makes one folder after the other, keeps the newest two, and stops after the last."""

    def __init__(self, last: int) -> None:
        self.last = last

    def __call__(self, folder: Path) -> dict[str, Any]:
        for number in range(1, self.last + 1):
            path = folder / ".checkpoints" / str(number)
            path.mkdir(parents=True)
            (path / "weights").write_text(str(number))
            shutil.rmtree(folder / ".checkpoints" / str(number - 2), ignore_errors=True)
            commit(path, str(number))
            keep(path)
        raise KeyboardInterrupt


def test_what_is_removed_here_is_removed_there_once_a_newer_one_is_stored(run: Run) -> None:
    stop(run, Checkpoints(last=5))
    assert kept(run) == [f"folders/.checkpoints/{n}.json" for n in (4, 5)]
    assert not [
        name for name in open_storage(run.uri).entries("") if "/content/.checkpoints/3" in name
    ]


def test_a_folder_stays_there_until_what_took_its_place_is_stored(
    proxy: FaultyProxy, run: Run
) -> None:
    def plan(request: Request) -> Answer | Slow | None:
        if b"best-2" in request.body_start:
            return Answer(403)
        return Slow(0.3) if "/upload/" in request.path else None

    def work(folder: Path) -> dict[str, Any]:
        for name in ("best-1", "checkpoint-1", "best-2"):
            (folder / name).mkdir()
            (folder / name / "weights").write_text(name)
            commit(folder / name, name)
            if name == "best-2":
                shutil.rmtree(folder / "best-1")  # while checkpoint-1 is on its way
            keep(folder / name)
        raise KeyboardInterrupt

    proxy.plan = plan
    stop(run, work)
    assert kept(run) == ["folders/best-1.json", "folders/checkpoint-1.json"]


def test_a_folder_that_is_removed_before_it_is_stored_is_still_stored_whole(
    proxy: FaultyProxy, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy.plan = lambda request: Slow(0.3) if "/upload/" in request.path else None
    folders: list[Path] = []

    def work(folder: Path) -> dict[str, Any]:
        with pytest.raises(KeyboardInterrupt):
            Checkpoints(last=1)(folder)
        shutil.rmtree(folder / ".checkpoints")
        raise KeyboardInterrupt

    stop(run, work)
    use_machine("C", monkeypatch, tmp_path)
    stop(run, lambda folder: folders.append(folder) or Checkpoints(last=0)(folder))
    assert (folders[0] / ".checkpoints" / "1" / "weights").read_text() == "1"


def test_other_settings_remove_what_was_kept(run: Run) -> None:
    stop(run, Checkpoints(last=2), key="old")
    old = set(open_storage(run.uri).entries(".progress/"))
    stop(run, Checkpoints(last=0), key="new")
    assert old.isdisjoint(open_storage(run.uri).entries(".progress/"))
    assert kept(run) == []


def test_what_could_not_be_kept_is_said_and_stops_nothing(
    proxy: FaultyProxy, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.plan = lambda request: Answer(403) if b"checkpoints/1/" in request.body_start else None
    stop(run, Checkpoints(last=2))
    assert kept(run) == ["folders/.checkpoints/2.json"]
    assert "the work continues, but .checkpoints/1 is on this machine only" in caplog.text


def test_what_was_damaged_there_is_made_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def stopped(folder: Path) -> dict[str, Any]:
        Work()(folder)
        raise KeyboardInterrupt

    stop(run, stopped)
    storage = open_storage(run.uri)
    names = list(storage.entries(".progress/"))
    storage.delete(name for name in names if "content/seed-3" in name)
    storage.write(next(name for name in names if "content/seed-4" in name), b"seed-5")
    use_machine("C", monkeypatch, tmp_path)
    work = Work()
    result = run_stage(run, "students/real", [""], work)
    assert work.made == ["seed-3", "seed-4"]
    assert caplog.text.count("are damaged, so they are made again") == 2
    assert result.summary == {"pieces": len(PIECES)}


def test_a_folder_of_several_machines_counts_when_all_have_stored_their_part(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    storage = open_storage(run.uri)
    monkeypatch.setattr(keeping, "_POLL_SECONDS", 0.05)

    def one(number: int, attempt: str, name: str) -> None:
        folder = tmp_path / f"{attempt}-{number}"
        folder.mkdir(exist_ok=True)
        machine = Machine(number, 2, attempt)
        with suppress(KeyboardInterrupt), keeping.keeping(storage, "t", "key", folder, machine):
            (folder / name).mkdir()
            (folder / name / f"shard-{number}").write_text(f"{attempt} {number}")
            (folder / name / "state").write_text(f"{attempt} {number}")
            commit(folder / name, name, {"step": 7})
            keep(folder / name)
            raise KeyboardInterrupt

    one(1, "first", "checkpoint-7")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    with keeping.keeping(storage, "t", "key", fresh):
        assert not list(fresh.iterdir()), "machine 0 has not stored its part"
    threads = [threading.Thread(target=one, args=(n, "second", "checkpoint-7")) for n in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with keeping.keeping(storage, "t", "key", fresh):
        manifest = sound_manifest(fresh / "checkpoint-7", "it is lost")
    assert manifest is not None
    assert manifest.summary == {"step": 7}
    found = {f.name: (fresh / "checkpoint-7" / f.name).read_text() for f in manifest.files}
    whole = {"shard-0": "second 0", "shard-1": "second 1", "state": "second 0"}
    assert found == whole
    with keeping.keeping(storage, "t", "key", tmp_path / "second-1"):
        pass
    found = {name: (tmp_path / "second-1" / "checkpoint-7" / name).read_text() for name in whole}
    assert found == whole, "a machine that has only its part gets the rest"
