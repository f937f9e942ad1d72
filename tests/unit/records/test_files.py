"""Files that appear whole or not at all, and what is left of writers that were killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daftt_core.cli.app import main
from daftt_core.records import appearing, write_jsonl, write_text
from daftt_core.storage import open_storage
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage

_WRITER = """
import sys
from pathlib import Path
from daftt_core.records.files import appearing
with appearing(Path(sys.argv[1]), folder=sys.argv[2] == "folder") as partial:
    (partial / "file" if sys.argv[2] == "folder" else partial).write_text("slow")
    sys.stdout.write("writing\\n"); sys.stdout.flush()
    sys.stdin.readline()
"""


@contextmanager
def writing(path: Path, kind: str = "file") -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of writing; it goes on when it is told a line."""
    words = [sys.executable, "-c", _WRITER, str(path), kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, **pipes)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def killed(path: Path, kind: str = "file") -> list[Path]:
    """What a writer that was killed has left."""
    with writing(path, kind) as process:
        process.kill()
        process.wait()
    left = list(path.parent.glob(".*.partial"))
    assert left
    assert not path.exists()
    return left


def write_object(path: Path) -> None:
    open_storage(str(path.parent)).write(path.name, b"new")


def write_records(path: Path) -> None:
    write_jsonl(path, [])


@pytest.mark.parametrize(
    "write", [lambda path: write_text(path, "new"), write_object, write_records]
)
def test_the_next_writer_removes_what_a_killed_one_left(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    path = tmp_path / "champion.json"
    killed(path)
    write(path)
    assert path.is_file()
    assert not list(tmp_path.glob(".*.partial"))


def test_a_killed_writers_folder_goes_too(tmp_path: Path) -> None:
    killed(tmp_path / "serving", "folder")
    with appearing(tmp_path / "serving", folder=True) as partial:
        (partial / "file").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["serving"]
    assert (tmp_path / "serving" / "file").read_text() == "whole"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_living_writer_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "history.json"
    with writing(path, kind) as process:
        (partial,) = tmp_path.glob(".*.partial")
        # as a process of another machine sees it, which does not know that this number lives
        unknown = partial.with_name(f".{path.name}.{dead_process()}-0.partial")
        partial.rename(unknown)
        with appearing(path, folder=kind == "folder"):
            assert unknown.exists(), "its writer holds it"
        unknown.rename(partial)
        process.communicate("go on\n", timeout=60)
        assert process.returncode == 0
    assert (path / "file" if kind == "folder" else path).read_text() == "slow"


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_of_unfinished_files_only_those_of_dead_processes_and_of_this_name_go(
    tmp_path: Path,
) -> None:
    dead, other = dead_process(), subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1)
    goes = {
        f".a.json.{dead}.partial",
        f".a.json.{dead}-5f.partial",
        f".a.json.{os.getpid()}.partial",
    }
    stays = {
        *(f".a.json.{other.pid}.partial", f".b.json.{dead}.partial", f".b.a.json.{dead}.partial"),
        *(f"a.json.{dead}.partial", ".a.json.partial", f".a.json.{dead}.partial.txt"),
    }
    for name in goes | stays:
        (tmp_path / name).write_text("left")
    (tmp_path / "outside").write_text("stays")
    (tmp_path / f".a.json.{dead}-00.partial").symlink_to(tmp_path / "outside")
    try:
        write_text(tmp_path / "a.json", "new")
    finally:
        other.communicate("")
    assert {path.name for path in tmp_path.iterdir()} == {*stays, "a.json", "outside"}
    assert (tmp_path / "outside").read_text() == "stays"


def test_threads_do_not_write_into_one_another(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    texts = [str(number) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a", "half \ud800")
    assert not list(tmp_path.iterdir())


def test_a_stage_that_begins_again_and_clean_remove_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(uri=str(tmp_path / "run"), seed=0, task=load_task("movie-reviews"))
    killed(tmp_path / "run" / "data" / "deep" / "examples.jsonl")
    (tmp_path / "run" / "data" / ".key").write_text("of another attempt")

    def work(folder: Path) -> dict[str, object]:
        left = killed(folder / "deep" / "examples.jsonl")
        if not (folder / "begun").exists():
            write_text(folder / "begun", "")
            raise KeyboardInterrupt
        assert len(left) == 1, "that of the attempt before is gone"
        return {}

    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "data", [], work)
    run_stage(run, "data", [], work)
    (left,) = (tmp_path / "run").rglob(".*.partial")
    with writing(tmp_path / "run" / "data" / "now.json"):
        assert main(["clean", str(tmp_path / "run"), "--dry-run", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found == {"fate": "would be removed", "bytes": {f"data/deep/{left.name}": 4}}
        assert left.exists()
        assert main(["clean", str(tmp_path / "run")]) == 0
        assert not left.exists()
        assert "1 objects" in capsys.readouterr().out
        assert len(list((tmp_path / "run").rglob(".*.partial"))) == 1, "that of who writes now"
