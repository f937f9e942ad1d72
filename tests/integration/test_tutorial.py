"""The tutorial's commands up to the run, as the page has them; runs are tested elsewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from documented_code import run_code
from registry_runs import finished_run, promoted

from daftt_core.cli.app import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("daftt ")
    for language, block in BLOCKS
    for line in block.splitlines()
    if language == "sh" and line.startswith("daftt ")
]
# all lines in which a question with a proposal in brackets is answered, with the answer
ANSWERS = re.findall(r"^[A-Z][^\n]* \[.*?\]: ?(.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the page's commands find what they name."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (settings,) = (block for language, block in BLOCKS if language == "yaml")
    (tmp_path / "first-run.yaml").write_text(settings, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def daftt(command: str, answers: str = "") -> Result:
    """Run a command that stands on the page."""
    assert command in COMMANDS
    done = CliRunner().invoke(cli, shlex.split(command), input=answers)
    assert done.exit_code == 0, done.output
    return done


def output_after(command: str) -> list[str]:
    """The lines that the page shows as a command's output; ``...`` stands for any others."""
    position = BLOCKS.index(("sh", f"daftt {command}\n"))
    language, block = BLOCKS[position + 1]
    assert language == "text"
    return [line for line in block.splitlines() if line.strip() and "..." not in line]


def test_the_files_that_it_shows_are_there() -> None:
    header, first, *_ = (ROOT / "examples/tutorial/reviews.csv").read_text().splitlines()
    assert f"\n{header}\n{first}\n" in PAGE


def test_a_task_is_made_checked_and_validated_as_the_page_says(clone: Path) -> None:
    new = "task new mood.yaml --data examples/tutorial/reviews.csv"
    asked = daftt(new, "\n".join(ANSWERS) + "\n").output
    assert len(ANSWERS) == len(output_after(new)) + 3 == 7
    for question in output_after(new):
        assert question.strip() in asked
    task = yaml.safe_load(Path("mood.yaml").read_text(encoding="utf-8"))
    assert [task["description"], task["definition"], task["writing_definition"]] == ANSWERS[4:]
    assert [label["name"] for label in task["labels"]] == ["happy", "unhappy"]
    for command in ("task validate mood.yaml", "validate --settings first-run.yaml"):
        said = daftt(command).output.splitlines()
        shown = output_after(command)
        assert shown
        assert [line for line in shown if line not in said] == []


def test_the_last_step_gives_a_model_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted(*finished_run(tmp_path, "mood", student_max_length=32))
    monkeypatch.chdir(tmp_path)
    (export,) = (command for command in COMMANDS if command.startswith("export "))
    # The run here is of another task than the page's.
    done = CliRunner().invoke(cli, shlex.split(export.replace("export mood ", "export meals ")))
    assert done.exit_code == 0, done.output
    run_code("tutorial", "8. Use the student")
    assert re.search(r"'label': '\w+', 'score': 0\.\d+", capsys.readouterr().out)
    (student,) = re.findall(r'`model="(runs/mood/students/[^"]+)"`', PAGE)
    assert (tmp_path / student / "config.json").is_file()
