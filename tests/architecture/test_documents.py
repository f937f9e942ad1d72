"""The documents name what the code has; `make docs` itself checks their links."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import picture
import pytest
import reference
from click.testing import CliRunner

from daftt_core.accounting import Prices
from daftt_core.cli.app import cli
from daftt_core.config import flat_fields, preset_names
from daftt_core.tasks import Columns, Hub, Label, Solved, Splits, Task


def test_every_setting_is_in_the_reference() -> None:
    page = list(reference.parameters_page())
    assert _values(iter(page)) == list(flat_fields())
    epochs = "{confval} student_epochs\n:type: `INTEGER`, at least 1, at most 10,000\n:default: `"
    assert epochs in "\n".join(page)


def test_every_command_and_exit_code_is_in_the_reference() -> None:
    page = "\n".join(reference.commands_page())
    listed = {
        line.removeprefix("## ") for line in page.splitlines() if line.startswith("## daftt ")
    }
    assert listed == set(_commands(cli, "daftt"))
    assert "| 130 | Stopped with Ctrl-C. |" in page


def test_every_field_of_a_task_file_and_of_a_price_file_is_in_the_reference() -> None:
    task, prices = _values(reference.task_page()), _values(reference.prices_page())
    assert set(task) > {*Task.model_fields, *(f"hub.{name}" for name in Hub.model_fields)}
    assert "hub.splits.test" in task
    assert prices == list(Prices.model_fields)


def _values(lines: Iterator[str]) -> list[str]:
    return re.findall(r"\{confval\} (\S+)", "\n".join(lines))


def _commands(group: click.Group, path: str) -> list[str]:
    found, context = [], click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        is_group = isinstance(command, click.Group)
        if is_group:
            found += _commands(command, f"{path} {name}")
        if not is_group or command.invoke_without_command:
            assert CliRunner().invoke(command, ["--help"]).exit_code == 0
            found.append(f"{path} {name}")
    return found


@pytest.mark.parametrize("part", [Task, Columns, Label, Solved, Hub, Splits])
def test_every_field_of_a_task_is_explained(part: type[Task]) -> None:
    page = (picture.HERE / "tasks.md").read_text(encoding="utf-8")
    assert [name for name in part.model_fields if f"`{name}`" not in page] == []


def test_every_preset_is_on_the_page_of_its_model() -> None:
    pages = [(picture.HERE / f"{name}.md").read_text() for name in ("teachers", "students")]
    assert [name for name in preset_names() if f"`{name}`" not in "".join(pages)] == []


def test_the_picture_is_what_the_compiled_pipeline_gives() -> None:
    steps = picture.read_steps(picture.COMPILED)
    assert picture.TARGET.read_text() == picture.draw(steps), "run `make docs` and commit it"
    labels = [steps.nodes[step]["label"] for step in steps]
    assert len(labels) == len(set(labels)) == 9
    assert {"Fine-tune teacher", "Annotate or generate", "Curate"} < set(labels)
    ends = [steps.nodes[step]["label"] for step in steps if not steps.out_degree(step)]
    assert ends == ["Summary and report"]
