"""What is not ours reaches a terminal as plain, visible text, from every command."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from champions import decided
from rich.table import Table

from daftt_core.cli.app import main
from daftt_core.cli.local.launch import LOG, Attempt
from daftt_core.cli.local.outcome import explain_failure
from daftt_core.cli.local.watch import display_for
from daftt_core.cli.printing import as_yaml, say, say_json
from daftt_core.cli.tables import PlainConsole, show_table
from daftt_core.errors import TrainingError
from daftt_core.records import visible_line, write_text
from daftt_core.storage import open_storage
from daftt_core.tasks import load_task
from daftt_core.telemetry import Snapshot
from daftt_core.workspace import Run, read_statuses
from daftt_core.workspace.status import write_status

HOSTILE = (
    "[/INST] [red]x[/red] :smile: \x1b[2J\x1b]0;title\x07 \x9b31m \u202egnp \udcff {{$}} \r\x7f"
)
SHOWN = (
    "[/INST] [red]x[/red] :smile: \u241b[2J\u241b]0;title\u2407 "
    "\ufffd31m \ufffdgnp \ufffd {{$}} \u240d\u2421"
)


_REST = {"what": "x", "unit": "u", "seconds_left": None}


def is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_a_text_is_printed_as_it_is_and_nothing_in_it_is_obeyed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say(HOSTILE)
    assert capsys.readouterr().out == SHOWN + "\n"


def test_a_table_and_its_title_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(HOSTILE, box=None, title=HOSTILE)
    table.add_row(HOSTILE)
    show_table(table)
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert out.count(SHOWN) == 3


def test_json_keeps_what_it_says_and_escapes_it(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"a": HOSTILE})
    out = capsys.readouterr().out
    assert is_harmless(out)
    assert json.loads(out) == {"a": HOSTILE}


def test_yaml_that_is_shown_can_be_read_again() -> None:
    assert as_yaml({"a": "é \u202e"}) == 'a: "\\xE9 \\u202E"\n'
    assert as_yaml({"a": "é"}) == "a: é\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_bars_and_lines_show_names_as_text(terminal: bool) -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=terminal, width=300, color_system=None)
    display = display_for(console)
    display.started(HOSTILE)
    display.moved(HOSTILE, Snapshot(HOSTILE, 1, 2, HOSTILE, None))
    display.ended(HOSTILE, "failed")
    display.close()
    assert visible_line(HOSTILE) in file.getvalue()
    assert "\x1b]0;" not in file.getvalue()
    assert "\x1b[2J" not in file.getvalue()


def test_a_failure_a_name_and_a_log_are_text_for_those_who_list_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "a[b]\x1b[31m\nc"
    failure = TrainingError(f"the loss is {HOSTILE}".replace("\udcff", ""))
    write_status(folder, open_storage(str(folder)), "teacher", "failed", failure=failure)
    for words in (["runs"], ["costs"]):
        place = ["--output"] * (words == ["runs"])
        assert main([*words, *place, str(tmp_path / "runs")]) == 0
        said = capsys.readouterr()
        assert is_harmless(said.out)
        assert is_harmless(said.err)
        assert "a[b]\u241b[31m\u240ac" in said.out
    assert main(["runs", "--output", str(tmp_path / "runs")]) == 0
    assert "stage teacher: the loss is [/INST] [red]x[/red]" in capsys.readouterr().out


def test_the_end_of_a_log_is_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = Attempt(tmp_path)
    (tmp_path / LOG).write_text(HOSTILE, encoding="utf-8", errors="surrogateescape")

    def fail(*_: object, **__: object) -> None:
        raise explain_failure(attempt)

    monkeypatch.setattr("daftt_core.cli.local.run._run", fail)
    assert main(["run"]) == 1
    err = capsys.readouterr().err
    assert is_harmless(err)
    assert "[/INST] [red]x[/red] :smile: \u241b[2J" in err


def test_a_warning_and_a_mistyped_word_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--{HOSTILE}"]) == 2
    assert main(["registry", HOSTILE]) == 2
    assert is_harmless(capsys.readouterr().err)
    record = logging.LogRecord("daftt", logging.WARNING, "", 0, "%s", (HOSTILE,), None)
    assert logging.lastResort is not None
    assert logging.lastResort.format(record) == SHOWN


def test_a_ledger_is_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(
        uri=str(tmp_path / "runs" / "[red]x\x1b[31m\x9b"), seed=1, task=load_task("movie-reviews")
    )
    decided(run, "a" * 12)
    main(["registry", "list", "--output", str(tmp_path / "runs")])
    said = capsys.readouterr()
    assert "[red]x\u241b[31m\ufffd" in said.out
    assert is_harmless(said.out + said.err)


def test_a_task_is_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.yaml"
    fields = {"id": "t", "kind": "text2text", "writing_definition": "w"}
    text = "[/INST] \x1b[2J \u202e"
    write_text(path, json.dumps({**fields, "description": text, "definition": text}))
    for words in (["show"], ["validate"]):
        assert main(["task", *words, str(path)]) == 0
        out = capsys.readouterr().out
        assert is_harmless(out)
        assert "[/INST]" in out


@pytest.mark.parametrize(
    "damage",
    [
        {"updated": float("inf")},
        {"updated": float("nan")},
        {"updated": 1e308},
        {"updated": -1.0},
        {"progress": {"what": "x"}},
        {
            "progress": {
                "what": "x",
                "done": 1,
                "total": 2,
                "unit": "u",
                "seconds_left": float("inf"),
            }
        },
        {"progress": {**_REST, "done": 1, "total": 10**400}},
        {"progress": "half"},
        {"exit_code": 10**6},
        {"stage": ["x"]},
    ],
)
def test_a_damaged_status_is_passed_over(
    tmp_path: Path, damage: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "one"
    storage = open_storage(str(folder))
    for stage in ("data", "teacher"):
        write_status(folder, storage, stage, "running", Snapshot("x", 1, 2, "u", None))
    path = folder / ".status" / "teacher.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    assert [status.stage for status in read_statuses(folder)] == ["data"]
    assert main(["runs", "--output", str(tmp_path)]) == 0
    assert "interrupted" in capsys.readouterr().out
