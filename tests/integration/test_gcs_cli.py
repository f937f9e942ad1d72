"""What a person types about runs in a bucket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daftt_core.cli.app import main
from daftt_core.cli.runs.stored_runs import find_runs
from daftt_core.config import Config
from daftt_core.curation import FUNNEL, SOURCES
from daftt_core.errors import DataError
from daftt_core.preflight import preflight, resolve
from daftt_core.records import Example, SyntheticExample, write_jsonl, write_text
from daftt_core.reporting import write_report
from daftt_core.storage import commit, open_storage
from daftt_core.workspace import Run, read_stage, run_stage
from daftt_core.workspace.progress import keep


@pytest.fixture
def run(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """A run whose preflight is done."""
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DAFTT_SCRATCH", raising=False)
    config = Config.model_validate({"run": {"output": f"{bucket}/runs", "name": "one"}})
    preflight(config)
    return resolve(config)


def fill(text: str) -> Any:
    def work(folder: Path) -> dict[str, Any]:
        (folder / "a.txt").write_text(text)
        return {}

    return work


def fail(folder: Path) -> dict[str, Any]:
    raise DataError("my.csv, line 3: the label 'mabye' is not known")


def test_a_look_at_a_run_that_failed_changes_nothing_in_it(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError):
        run_stage(run, "data", [], fail)
    before = open_storage(run.uri).entries("")
    assert main(["report", run.uri]) == 0
    captured = capsys.readouterr()
    assert "my.csv, line 3: the label" in Path(captured.out.strip()).read_text()
    assert "its report so far is not kept with it" in captured.err
    assert open_storage(run.uri).entries("") == before
    assert find_runs(run.uri.removesuffix("/one"))[0].status == "failed"


def test_the_report_of_a_run_in_a_bucket_is_written_and_fetched(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "another machine"))
    write_report(run)  # as its last stage does
    output = run.uri.removesuffix("/one")
    paths = set()
    for words in (["report", run.uri], ["report", "one", "--output", output]):
        assert main(words) == 0
        paths.add(capsys.readouterr().out.strip())
    assert len(paths) == 1
    assert "<h1>" in Path(paths.pop()).read_text()
    assert read_stage(run, "report")
    assert main(["report", "latest", "--output", output]) == 0


def test_the_sheet_of_a_run_in_a_bucket_is_written_here(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = [
        SyntheticExample(**Example.of(f"film {i}", output="positive").model_dump(), source=source)
        for i, source in enumerate(SOURCES * 10)
    ]

    def curated(folder: Path) -> dict[str, Any]:
        for source in SOURCES:
            write_jsonl(folder / f"{source}.jsonl", [one for one in kept if one.source == source])
        counts = {"read": 10, "rejected": {}, "kept": 10}
        write_text(folder / FUNNEL, json.dumps({"funnel": dict.fromkeys(SOURCES, counts)}))
        write_jsonl(folder / "rejected.jsonl", [])
        return {}

    run_stage(run, "curated", [], curated)
    assert main(["review", run.uri, "--count", "12"]) == 0
    assert "review.csv: 12 examples; mark them" in capsys.readouterr().out
    sheet = Path("review.csv")
    sheet.write_text(sheet.read_text("utf-8-sig").replace('"","","",""', '"","y","n","y"'))
    assert main(["review", run.uri, "--read", "review.csv"]) == 0
    out = capsys.readouterr().out
    assert "0 of 12" in out
    assert "What people found" in Path(out.splitlines()[-1]).read_text()


@pytest.mark.parametrize("words", [["{uri}-other"], ["other", "--output", "{output}"]])
def test_a_run_that_is_not_in_the_bucket_is_named(
    run: Run, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = run.uri.removesuffix("/one")
    assert main(["report", *(word.format(uri=run.uri, output=output) for word in words)]) == 5
    assert "other: there is no such folder, and no such run in" in capsys.readouterr().err


def test_the_runs_in_a_bucket_and_what_became_of_them(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage(run, "report", [], fill("report"))
    output = run.uri.removesuffix("/one")
    with pytest.raises(DataError):
        run_stage(run.model_copy(update={"uri": f"{output}/two"}), "data", [], fail)
    run_stage(run.model_copy(update={"uri": f"{output}/three"}), "data", [], fill("data"))
    open_storage(output).write("not-a-run/file", b"")
    assert main(["runs", output, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["status"]) for each in found] == [
        ("three", "unfinished"),
        ("two", "failed"),
        ("one", "done"),
    ]
    assert found[1]["headline"] == "stage data: my.csv, line 3: the label 'mabye' is not known"
    assert main(["runs", f"{output}/none"]) == 0
    assert "There is no run in" in capsys.readouterr().out


def test_clean_removes_what_nothing_refers_to(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    storage = open_storage(run.uri)
    old = run_stage(run, "students/real", ["old"], fill("old"))
    storage.write(".progress/students/real/0123456789abcdef/files/1", b"of a machine that was lost")
    new = run_stage(run, "data", ["new"], fill("new"))
    run_stage(run, "data", ["newer"], fill("newer"))
    storage.write("test/0123456789abcdef/half.txt", b"of a writer that was killed")

    def unfinished(folder: Path) -> dict[str, Any]:
        (folder / "seed-0").mkdir()
        (folder / "seed-0" / "weights").write_text("w")
        commit(folder / "seed-0", "seed")
        keep(folder / "seed-0")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "teacher", [], unfinished)
    before = set(storage.entries(""))
    expected = {f"data/{new.digest}/a.txt", "test/0123456789abcdef/half.txt"}

    def clean(*words: str) -> set[str]:
        assert main(["clean", run.uri, "--json", *words]) == 0
        return set(json.loads(capsys.readouterr().out)["bytes"])

    assert not clean(), "all of it is young"
    assert clean("--older-than", "0", "--dry-run") == expected
    assert set(storage.entries("")) == before
    assert clean("--older-than", "0") == expected
    assert set(storage.entries("")) == before - expected
    storage.write("students/real/manifest.json", storage.read("students/real/manifest.json").data)
    assert clean("--older-than", "0") == {".progress/students/real/0123456789abcdef/files/1"}
    assert read_stage(run, "students/real", old.digest)
    assert main(["clean", run.uri, "--older-than", "0"]) == 0
    assert "0 objects, 0.000 GB removed" in capsys.readouterr().out
