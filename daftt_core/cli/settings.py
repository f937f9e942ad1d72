"""Settings as options, generated from the configuration so that none can be forgotten.

With them come the variations of a sweep.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from daftt_core.cli.printing import say
from daftt_core.config import (
    FORM_SETTINGS,
    Config,
    Section,
    flat_fields,
    from_flat,
    preset_kinds,
    preset_names,
    read_presets,
    read_settings,
    split_presets,
)

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


_ALL = "daftt.help_all"
_MOST_USED = (*FORM_SETTINGS, "data_dev", "seed", "teacher_epochs")


def _show_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        say(ctx.get_help())
        ctx.exit()


class _Value(click.ParamType[str]):
    """A value that is passed on as it was typed.

    The configuration checks it, so that all mistakes are reported at once, and in the same words as
    those of a file.
    """

    def __init__(self, name: str, choices: tuple[str, ...] = ()) -> None:
        self.name = name
        self._choices = choices

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        items = [CompletionItem(word) for word in self._choices if word.startswith(incomplete)]
        return items or [CompletionItem(incomplete, type="file")]


class SettingsCommand(click.Command):
    """A command that takes every setting; its help lists those that matter most, or all."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, with ``--help-all`` beside ``--help``."""
        params = super().get_params(ctx)
        help_all = click.Option(
            ["--help-all"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_all,
            help="Show this message with every setting and exit.",
        )
        return [*params[:-1], help_all, params[-1]]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then settings: all by section, or the most used."""
        rows = {
            parameter.name: row
            for parameter in self.get_params(ctx)
            if (row := parameter.get_help_record(ctx)) is not None
        }
        known = flat_fields()
        with formatter.section("Options"):
            formatter.write_dl([row for name, row in rows.items() if name not in known])
        if not ctx.meta.get(_ALL):
            with formatter.section("Settings (--help-all shows all)"):
                formatter.write_dl([rows[name] for name in _MOST_USED])
            return
        for section, info in Config.model_fields.items():
            model = cast(type[Section], info.annotation)
            prefix = "" if section == "run" else f"{section}_"
            summary = str(model.__doc__).splitlines()[0].rstrip(".")
            with formatter.section(f"{section.title()} - {summary}"):
                formatter.write_dl([rows[prefix + field] for field in model.model_fields])


class SettingsGroup(SettingsCommand, click.Group):
    """A command that takes every setting, and has commands of its own beside that."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options and settings, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def with_settings(command: _Decorated) -> _Decorated:
    """Give a command an option for each setting, one for a file of them, and one for a preset."""
    for name, field in reversed(flat_fields().items()):
        command = _option(name, field)(command)
    command = click.option(
        "--preset",
        type=_Value("NAME", tuple(preset_names())),
        metavar="NAME",
        multiple=True,
        help=f"Settings that fit together, one of each kind: {_presets_in_words()}. A file and "
        "options win over them.",
    )(command)
    return click.option(
        "--settings",
        "settings_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="YAML file of settings, such as 'student_epochs: 5'; options given here win over it.",
    )(command)


def read_given(
    settings_file: Path | None, options: Mapping[str, Any]
) -> tuple[list[str], dict[str, object]]:
    """Return a command's presets and flat settings.

    Args:
        settings_file: A YAML file of flat settings, or None.
        options: Values of the options, with ``preset`` (several); None for an option that was not
            used. They win over the file.

    Raises:
        ConfigError: The file is missing or wrong.
    """
    used = {name: value for name, value in options.items() if value is not None}
    presets = [name for text in used.pop("preset", ()) for name in split_presets(text)]
    return presets, (read_settings(settings_file) if settings_file else {}) | used


def read_config(settings_file: Path | None, options: Mapping[str, Any]) -> Config:
    """Return the configuration that presets, a file and options make together.

    Args:
        settings_file: A YAML file of flat settings, or None.
        options: Values of the options, as in :func:`read_given`.

    Raises:
        ConfigError: Names every mistake of the file and of the options, or what is wrong with the
            presets.
    """
    presets, settings = read_given(settings_file, options)
    return from_flat(read_presets(presets) | settings)


def kind_in_words(field: FieldInfo) -> str:
    """Return the kind of value of a setting: ``INTEGER``, ``on|off`` or ``stop|continue``."""
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
    """Return the limits of a field's values, such as ``above 0, below 1``; empty without limits."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return ", ".join(
        f"{word} {limit:,}"
        for rule in field.metadata
        for key, word in words.items()
        if (limit := getattr(rule, key, None)) is not None
    )


def default_in_words(field: FieldInfo) -> str:
    """Return a setting's default as the command line takes it."""
    if isinstance(field.default, bool):
        return "on" if field.default else "off"
    return str(field.default)


def _presets_in_words() -> str:
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in preset_kinds().items())


def _option(name: str, field: FieldInfo) -> Callable[[_Decorated], _Decorated]:
    flag = f"--{name.replace('_', '-')}"
    limits, default = limits_in_words(field), default_in_words(field)
    notes = [limits] * bool(limits) + [f"default: {default}"] * bool(default)
    text = str(field.description) + (f" [{'; '.join(notes)}]" if notes else "")
    if field.annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    kind = _Value(kind_in_words(field), choices)
    return click.option(flag, name, type=kind, metavar=kind.name, help=text)


_DEFAULTS = {
    "fractions": "0.01,0.02,0.05,0.1",
    "ratios": "4,0",
    "modes": "both",
    "mixtures": str(Config().mixture.tasks),
}
_HELP = {
    "fractions": "Of a sweep: shares of the training pool that are labelled.",
    "ratios": "Of a sweep: synthetic examples of each source for every labelled one, at most; "
    "0: no limit.",
    "modes": "Of a sweep: what the teacher writes: annotate, generate, both.",
    "mixtures": "Of a sweep: numbers of other tasks that the teacher learns too; 0: none.",
}


def with_variations(command: Any) -> Any:
    """Give a command the options that say what a sweep varies."""
    for name in reversed(_HELP):
        text = f"{_HELP[name]} [default: {_DEFAULTS[name]}]"
        command = click.option(f"--{name}", metavar="A,B,...", help=text)(command)
    return command


def take_variations(options: dict[str, Any]) -> dict[str, str | None]:
    """Remove the values of those options from a command's, and return them; None if not used."""
    return {name: options.pop(name) for name in _HELP}


def sweep_parameters(
    settings: Mapping[str, object], variations: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return the settings and variations of a sweep, as :func:`daftt_core.sweep.plan_sweep` takes.

    Args:
        settings: Flat settings that all cells share.
        variations: Values separated by commas, from :func:`take_variations`; None takes the
            default.
    """
    varied: dict[str, Any] = {"settings": settings}
    for name, text in variations.items():
        words = (_DEFAULTS[name] if text is None else text).split(",")
        varied[name] = [word.strip() for word in words if word.strip()]
    return varied
