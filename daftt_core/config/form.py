r"""A pipeline's form: the few fields that people change from run to run, and all other settings.

The form has the settings named in ``FORM_SETTINGS``, and beside them ``preset``, which names one
preset of each kind, and ``settings``, a JSON object of flat settings. All fields default to empty,
or to "from preset", which means the same. They are merged once, by the first stage: defaults <
presets < settings < fields. What shapes pods and cannot be chosen at run time is compiled in.

What a pipeline passes to a stage goes through several programs that look for patterns in it and
put something else in their place:

- Kubeflow Pipelines and Argo: ``{{$.inputs...}}``, ``{{$}}``, ``{{workflow.name}}``.
- kfp.local: those, ``/kfp-workspace``, and ``python3``, which it takes for the interpreter.
- Kubernetes, in the command of a pod: ``$(NAME)``, and ``$$``, which becomes ``$``.

In JSON any character may be written as ``\uXXXX``: written so, the patterns are no longer there,
and every reader of the JSON gets the text back. A text that is not JSON travels as JSON behind a
mark wherever it holds a pattern; all others travel as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from daftt_core.config.cluster import ClusterConfig
from daftt_core.config.flat import Config, flat_fields, from_flat, parse_section, to_flat
from daftt_core.config.presets import preset_names, read_presets
from daftt_core.errors import ConfigError

_MARK = "json:"
_REPLACED = re.compile(r"\{(?=\{)|\$|(?<=python)3|/(?=kfp-workspace)")

FROM_PRESET = "from preset"
"""The default of a field with a choice: the page for a run draws no empty one in a drop-down."""

FORM_SETTINGS = (
    "data_labelled_count",
    "data_test",
    "data_train",
    "data_unlabelled",
    "name",
    "on_gate_fail",
    "output",
    "student_model",
    "student_seeds",
    "synthesis_mode",
    "task",
    "teacher_model",
)
"""The settings that are fields of their own, in the order in which Kubeflow's form shows them."""


def form_descriptions() -> dict[str, str]:
    """Return what each field of the form means, by its name."""
    fields = flat_fields()
    return {
        **{name: f"{fields[name].description}" for name in FORM_SETTINGS},
        "preset": "Presets, one of each kind, separated by commas: settings that fit together. "
        f"There are: {', '.join(preset_names())}.",
        "settings": "Any other settings, as a JSON object, such as "
        '{"student_epochs": 5, "teacher_learning_rate": 1e-5}. Fields of the form win over them.',
    }


def form_choices() -> dict[str, list[str]]:
    """Return the values that a field of the form may have, for those with a choice."""
    fields = flat_fields()
    kinds = {name: fields[name].annotation for name in FORM_SETTINGS}
    return {
        name: [FROM_PRESET, *get_args(kind)]
        for name, kind in kinds.items()
        if get_origin(kind) is Literal
    }


def split_presets(text: str) -> list[str]:
    """Return the names of presets in a text that separates them by commas or blanks."""
    return [name for name in re.split(r"[\s,]+", text) if name]


def read_form(form: Mapping[str, Any], *, on_cluster: bool = False) -> Config:
    """Return the configuration that a form makes.

    Args:
        form: The fields of the form, and ``compiled_in``: the cluster's section with which the
            pipeline was compiled, as JSON.
        on_cluster: Whether this runs in a pod, where compiled-in settings cannot change.

    Raises:
        ConfigError: Names every unknown setting and every bad value, one line each; or a setting
            that was fixed when the pipeline was compiled.
    """
    config = from_flat(merge_form(form))
    if on_cluster:
        check_compiled_in(form, config)
    return config


def merge_form(form: Mapping[str, Any]) -> dict[str, object]:
    """Return the flat settings that a form makes; they are not checked yet.

    Raises:
        ConfigError: The presets do not exist or do not go together.
    """
    empty = ("", FROM_PRESET)
    fields = {name: form[name] for name in FORM_SETTINGS if form.get(name, "") not in empty}
    presets = read_presets(split_presets(form["preset"]))
    settings: dict[str, object] = _whole_numbers(form["settings"])
    return _compiled_in(form) | presets | settings | fields


def check_compiled_in(form: Mapping[str, Any], config: Config) -> None:
    """Make sure that no setting differs that was fixed when the pipeline was compiled.

    Raises:
        ConfigError: Names each setting that was fixed at another value.
    """
    flat, fixed = to_flat(config), _compiled_in(form)
    mistakes = [
        f"{name}: {flat[name]!r} is set, but the pipeline was uploaded with {value!r}; "
        "upload it again with --settings that hold it"
        for name, value in fixed.items()
        if flat[name] != value
    ]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _compiled_in(form: Mapping[str, Any]) -> dict[str, object]:
    cluster = parse_section(ClusterConfig, form["compiled_in"])
    return {f"cluster_{name}": value for name, value in cluster.compiled_in.items()}


def form_arguments(
    *, presets: list[str], settings: Mapping[str, object], fields: tuple[str, ...] = FORM_SETTINGS
) -> dict[str, Any]:
    """Return the arguments of a pipeline that a person would type into its form.

    Args:
        presets: Names of presets.
        settings: Flat settings; those that are fields of the form become such.
        fields: The settings that the pipeline has as fields.
    """
    rest = {name: value for name, value in settings.items() if name not in fields}
    shown = {name: str(settings[name]) for name in fields if name in settings}
    form = {**shown, "preset": ",".join(presets), "settings": rest}
    return {name: as_argument(value) for name, value in form.items() if value}


def _whole_numbers(value: Any) -> Any:
    """Return a JSON value whose whole numbers are integers: KFP carries all numbers as doubles."""
    if isinstance(value, Mapping):
        return {name: _whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_argument(value: Any) -> Any:
    """Return a setting's value as a pipeline takes it; :func:`from_argument` is the way back.

    Args:
        value: A text, a number, or a list or mapping of such; names in a mapping stay as they are.
    """
    if isinstance(value, dict):
        return {name: as_argument(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_argument(item) for item in value]
    if isinstance(value, str) and (_REPLACED.search(value) or value.startswith(_MARK)):
        return _MARK + _escaped(json.dumps(value, ensure_ascii=False))
    return value


def from_argument(value: Any) -> Any:
    r"""Return the value that :func:`as_argument` made an argument of.

    A person may also type such a text into Kubeflow's form: ``json:"\u007b{workflow.name}}"``.
    """
    if isinstance(value, dict):
        return {name: from_argument(item) for name, item in value.items()}
    if isinstance(value, list):
        return [from_argument(item) for item in value]
    if isinstance(value, str) and value.startswith(_MARK):
        try:
            return json.loads(value.removeprefix(_MARK))
        except ValueError:  # typed into a form, where the mark is a text like any other
            return value
    return value


def json_argument(model: BaseModel) -> str:
    """Return a model as JSON to pass from stage to stage, or to a job; any reader of JSON works."""
    return _escaped(model.model_dump_json())


def _escaped(text: str) -> str:
    """Return a JSON text without the patterns that would be replaced.

    Outside of its strings JSON holds none of them, so only characters of strings are escaped.
    """
    return _REPLACED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
