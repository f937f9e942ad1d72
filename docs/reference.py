"""Pages of the reference that are written from the code when the site is built.

They are not kept in the repository, so they cannot be out of date. Everything is read off the
command line, which itself is made from the configuration: one wording in the help and on the site.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click

from daftt_core.cli.app import cli, exit_codes
from daftt_core.cli.settings import SettingsCommand
from daftt_core.config import Config, Section, flat_fields

__all__ = ["commands_page", "parameters_page", "write"]

FOLDER = Path(__file__).parent / "reference"


def write() -> None:
    """Write the generated pages beside those that are kept."""
    for name, text in (("cli", commands_page()), ("parameters", parameters_page())):
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")


def commands_page() -> str:
    """Every command with its own options, and the exit codes; Markdown."""
    parts = [
        "# Commands\n",
        "`daftt COMMAND --help` shows the same on a terminal. Where a command takes settings, each "
        "[parameter](parameters.md) is an option of it.\n",
    ]
    for context in _commands(click.Context(cli, info_name="daftt")):
        parts += _command(context)
    parts += ["## Exit codes\n", "| code | meaning |", "|---|---|"]
    parts += [f"| {code} | {_cell(meaning)} |" for code, meaning in exit_codes()]
    return "\n".join(parts) + "\n"


def parameters_page() -> str:
    """Every setting by section, as `daftt run --help` describes it; Markdown."""
    run = cli.commands["run"]
    rows = _rows(click.Context(run, info_name="daftt run"))
    parts = [
        "# Parameters\n",
        f"All {len(flat_fields())} settings of a run. Each is an option of `daftt run` "
        "(`--student-epochs 5`), a line of the file that `--settings` names (`student_epochs: 5`) "
        "and a field of the run's form in Kubeflow (`student_epochs`).\n",
    ]
    for section, info in Config.model_fields.items():
        model = cast(type[Section], info.annotation)
        prefix = "" if section == "run" else f"{section}_"
        parts += [f"## {section.title()}\n", f"{inspect.getdoc(model)}\n".split("\n\n")[0] + "\n"]
        for field in model.model_fields:
            name = prefix + field
            flag, said = rows[name]
            parts += [f"`{name}`", f": {_text(said)}\\\n  `{flag}`\n"]
    return "\n".join(parts) + "\n"


def _commands(context: click.Context) -> Iterator[click.Context]:
    group = cast(click.Group, context.command)
    for name in group.list_commands(context):
        command = group.commands[name]
        inner = click.Context(command, parent=context, info_name=name)
        if isinstance(command, click.Group):
            yield from _commands(inner)
        elif not command.hidden:
            yield inner


def _command(context: click.Context) -> list[str]:
    command, known = context.command, flat_fields()
    rows = {name: row for name, row in _rows(context).items() if name not in known}
    parts = [f"## {context.command_path}\n"]
    parts += ["```text", " ".join([context.command_path, *command.collect_usage_pieces(context)])]
    parts += ["```\n", *_paragraphs(command.help or "")]
    for flag, said in rows.values():
        parts += [f"`{flag}`", f": {_text(said) or 'No more to say.'}\n"]
    if isinstance(command, SettingsCommand):
        parts.append("And every [parameter](parameters.md).\n")
    return parts


def _rows(context: click.Context) -> dict[str | None, tuple[str, str]]:
    """Each option's words of use and its help, by name."""
    return {
        parameter.name: row
        for parameter in context.command.get_params(context)
        if (row := parameter.get_help_record(context)) is not None
    }


def _paragraphs(text: str) -> Iterator[str]:
    """A help text as Markdown; what click is told not to wrap stays as it is."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield "```text\n" + paragraph.removeprefix("\b\n") + "\n```\n"
        else:
            yield _text(paragraph) + "\n"


def _text(text: str) -> str:
    """A sentence of the help, with what Markdown would read as marks made plain."""
    for mark in ("\\", "*", "_", "<", "[", "$"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")
