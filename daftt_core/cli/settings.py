"""Every setting as an option, generated from the configuration so that none can be forgotten."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from daftt_core.config import (
    Config,
    Section,
    flat_fields,
    from_flat,
    preset_names,
    read_presets,
    read_settings,
)

__all__ = [
    "SettingsCommand",
    "default_in_words",
    "kind_in_words",
    "limits_in_words",
    "read_config",
    "with_settings",
]

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class _Value(click.ParamType[str]):
    """A value that is handed on as it was typed.

    The configuration checks it, so that every mistake is reported at once and in the same words as
    for a file, and not the first alone.
    """

    def __init__(self, name: str, choices: tuple[str, ...] = ()) -> None:
        self.name = name
        self._choices = choices

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found = [CompletionItem(word) for word in self._choices if word.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class SettingsCommand(click.Command):
    """A command whose help lists the settings by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then each section's under its own heading."""
        rows = {
            parameter.name: row
            for parameter in self.get_params(ctx)
            if (row := parameter.get_help_record(ctx)) is not None
        }
        known = flat_fields()
        with formatter.section("Options"):
            formatter.write_dl([row for name, row in rows.items() if name not in known])
        for section, info in Config.model_fields.items():
            model = cast(type[Section], info.annotation)
            prefix = "" if section == "run" else f"{section}_"
            summary = str(model.__doc__).splitlines()[0].rstrip(".")
            with formatter.section(f"{section.title()} - {summary}"):
                formatter.write_dl([rows[prefix + field] for field in model.model_fields])


def with_settings(command: _Decorated) -> _Decorated:
    """Give a command an option for each setting, one for a file of them, and one for a preset."""
    for name, field in reversed(flat_fields().items()):
        command = _option(name, field)(command)
    command = click.option(
        "--preset",
        type=_Value("NAME", tuple(preset_names())),
        metavar="NAME",
        multiple=True,
        help=f"Settings that fit together: {', '.join(preset_names())}; a file and options win "
        "over it. One for the teacher and one for the student can be given.",
    )(command)
    return click.option(
        "--settings",
        "settings_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="YAML file of settings, such as 'student_epochs: 5'; options given here win over it.",
    )(command)


def read_config(settings_file: Path | None, given: dict[str, Any]) -> Config:
    """The configuration that presets, a file and options make together.

    Args:
        settings_file: A YAML file of flat settings, or None.
        given: Values of the options, ``preset`` (several) among them; None where one was not
            given.

    Raises:
        ConfigError: Names every mistake of the file and of the options, or what is wrong with the
            presets.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = read_presets(chosen.pop("preset", ()))
    settings |= read_settings(settings_file) if settings_file else {}
    return from_flat(settings | chosen)


def kind_in_words(field: FieldInfo) -> str:
    """What kind of value a setting takes, such as ``INTEGER``, ``on|off`` or ``stop|continue``."""
    annotation = field.annotation
    if annotation is bool:
        return "on|off"
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) in (dict, list):
        return "JSON"
    return {int: "INTEGER", float: "NUMBER"}.get(cast(type, annotation), "TEXT")


def limits_in_words(field: FieldInfo) -> str:
    """The limits of a field's values, such as ``above 0, below 1``; empty where there are none."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return ", ".join(
        f"{word} {limit:,}"
        for rule in field.metadata
        for key, word in words.items()
        if (limit := getattr(rule, key, None)) is not None
    )


def default_in_words(field: FieldInfo) -> str:
    """A setting's default as the command line takes it."""
    if isinstance(field.default, bool):
        return "on" if field.default else "off"
    return str(field.default)


def _option(name: str, field: FieldInfo) -> Callable[[_Decorated], _Decorated]:
    flag = f"--{name.replace('_', '-')}"
    limits, default = limits_in_words(field), default_in_words(field)
    said = [limits] * bool(limits) + [f"default: {default}"] * bool(default)
    text = str(field.description) + (f" [{'; '.join(said)}]" if said else "")
    if field.annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    kind = _Value(kind_in_words(field), choices)
    return click.option(flag, name, type=kind, metavar=kind.name, help=text)
