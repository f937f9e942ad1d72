"""Pages of the reference that are written from the code whenever the site is built.

They are not kept in the repository, so they cannot be out of date. What they say is said once, in
what the command line and the checks of a file are made from.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import click
import docstring_parser
from pydantic import BaseModel

from daftt_core.accounting import Prices
from daftt_core.cli.app import cli, exit_codes
from daftt_core.cli.settings import (
    SettingsCommand,
    default_in_words,
    kind_in_words,
    limits_in_words,
)
from daftt_core.config import Config, Section, flat_fields
from daftt_core.tasks import Task

__all__ = ["PAGES", "commands_page", "parameters_page", "prices_page", "task_page", "write"]

_FOLDER = Path(__file__).parent / "reference"


def write() -> None:
    """Write the generated pages beside those that are kept."""
    for name, lines in PAGES.items():
        (_FOLDER / f"{name}.md").write_text("\n".join(lines()), encoding="utf-8")


def commands_page() -> Iterator[str]:
    """Every command with its own options, and the exit codes; lines of Markdown."""
    yield "# Commands\n"
    yield "`daftt COMMAND --help` shows the same on a terminal.\n"
    for context in _commands(click.Context(cli, info_name="daftt")):
        yield from _command(context)
    yield "## Exit codes\n\n| Code | Meaning |\n|---|---|"
    for code, meaning in exit_codes():
        yield f"| {code} | {_plain(meaning)} |"
    yield ""


def _commands(context: click.Context) -> Iterator[click.Context]:
    group = cast(click.Group, context.command)
    for name in group.list_commands(context):
        command = cast(click.Command, group.get_command(context, name))
        inner = click.Context(command, parent=context, info_name=name)
        is_group = isinstance(command, click.Group)
        if not command.hidden and (not is_group or command.invoke_without_command):
            yield inner
        if is_group:
            yield from _commands(inner)


def _command(context: click.Context) -> Iterator[str]:
    command, path = context.command, context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"## {path}\n\n```text\n{usage}\n```\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        kept_as_it_is = paragraph.startswith("\b\n")  # how click is told not to wrap
        yield f"```text\n{paragraph[2:]}\n```\n" if kept_as_it_is else f"{_plain(paragraph)}\n"
    yield f"```{{program}} {path}\n```\n"
    settings = flat_fields() if isinstance(command, SettingsCommand) else {}
    for parameter in command.params:
        flags, said = parameter.get_help_record(context) or ("", "")
        if said and parameter.name not in settings:
            yield f"````{{option}} {flags.replace(' / ', ', ')}\n{_plain(said)}\n````\n"
    if settings:
        yield "Every [parameter](parameters.md) is an option, too: `student_epochs` is"
        yield "`--student-epochs`; one that is on or off also has its opposite, such as"
        yield "`--no-student-gold-arm`.\n"


def parameters_page() -> Iterator[str]:
    """Every setting of a run by section; lines of Markdown."""
    yield "# Parameters\n"
    yield f"The {len(flat_fields())} settings of a run. `student_epochs`, for one, is the option"
    yield "`--student-epochs` of `daftt run`, a line `student_epochs: 5` of the file that"
    yield "`--settings` names, and a name in the `settings` object of the form in which Kubeflow"
    yield "asks for a run's parameters. All are checked together before anything runs.\n"
    for section, info in Config.model_fields.items():
        model = cast(type[Section], info.annotation)
        yield f"## {section.title()}\n\n{_plain(str(model.__doc__).splitlines()[0])}\n"
        for name, field in model.model_fields.items():
            flat = name if section == "run" else f"{section}_{name}"
            limits = limits_in_words(field)
            kind = _code(kind_in_words(field)) + (f", {limits}" if limits else "")
            default = _code(default_in_words(field) or '""')
            yield _value(flat, kind, default, str(field.description))


def task_page() -> Iterator[str]:
    """Every field of a task file; lines of Markdown."""
    yield "# Task file\n"
    yield "The fields of a task's YAML file; [Tasks](../tasks.md) tells how to write one, and"
    yield "`daftt task validate FILE` checks it.\n"
    yield from _model(Task)


def prices_page() -> Iterator[str]:
    """Every field of a price file; lines of Markdown."""
    yield "# Price file\n"
    yield "The fields of the YAML file that `prices` names; `daftt costs --example-prices` writes"
    yield "one to begin with.\n"
    yield from _model(Prices)


def _model(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Each field of a model, then those of the models in it."""
    said = {
        one.arg_name: one.description
        for one in docstring_parser.parse(
            str(model.__doc__), docstring_parser.DocstringStyle.GOOGLE
        ).params
    }
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        limits = limits_in_words(field)
        kind = _type_in_words(field.annotation) + (f", {limits}" if limits else "")
        default = (
            "" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        )
        yield _value(prefix + name, kind, default, str(said[name]), ":no-index:\n")
        inner += [(name, part) for part in _models_in(field.annotation)]
    for name, part in inner:
        yield f"## {prefix}{name}\n\n{_plain(str(part.__doc__).splitlines()[0])}\n"
        yield from _model(part, f"{prefix}{name}.")


def _value(name: str, kind: str, default: str, said: str, options: str = "") -> str:
    options += f":type: {kind}\n" + (f":default: {default}\n" if default else "")
    return f"````{{confval}} {name}\n{options}\n{_plain(said)}\n````\n"


def _shown(default: Any) -> str:
    """A default in words of YAML."""
    if isinstance(default, BaseModel):
        return "those below"
    if default is None or default in ((), {}):
        return "none"
    return _code(str(default).lower() if isinstance(default, bool) else str(default) or '""')


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _type_in_words(annotation: Any) -> str:
    """A field's type in words of YAML."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(_code(part) for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_in_words(part) for part in parts if part is not types.NoneType)
    if origin is Annotated:
        return _type_in_words(parts[0])
    if origin is tuple:
        return f"list of {_type_in_words(parts[0])}"
    if origin is not None:  # a mapping
        return f"{_type_in_words(parts[1])} by name"
    if issubclass(annotation, BaseModel):
        return "fields"
    return {str: "text", int: "integer", float: "number", bool: "true or false"}[annotation]


def _code(text: str) -> str:
    return f"`{text}`"


def _plain(text: str) -> str:
    """Sentences of a help text or a docstring as Markdown that shows each mark as it is."""
    text = re.sub(r":\w+:(?=`)", "", text).replace("``", "`")  # the roles of docstrings
    parts = " ".join(text.split()).split("`")
    parts[::2] = [re.sub(r"([\\*_<\[$|])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


PAGES = {
    "cli": commands_page,
    "parameters": parameters_page,
    "task-file": task_page,
    "price-file": prices_page,
}
"""The generated pages, by the names of their files."""
