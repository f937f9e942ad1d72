"""Settings that fit together, by kind: goals, teachers, students, machines and tasks.

A preset is a YAML file of flat settings in the folder of its kind. A user's own settings win over
it. One of each kind can be chosen; two that set the same differently do not go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daftt_core.config.flat import read_settings
from daftt_core.errors import ConfigError, did_you_mean

__all__ = ["preset_kinds", "preset_names", "read_preset", "read_presets"]

_FOLDER = Path(__file__).parent
_KINDS = ("goal", "teacher", "student", "machine", "task")


def preset_kinds() -> dict[str, list[str]]:
    """Return the names of all presets by their kind, in alphabetical order within it."""
    return {kind: sorted(path.stem for path in _FOLDER.glob(f"{kind}/*.yaml")) for kind in _KINDS}


def preset_names() -> list[str]:
    """Return the names of all presets, kind after kind."""
    return [name for names in preset_kinds().values() for name in names]


def read_preset(name: str) -> dict[str, object]:
    """Return the flat settings of a preset.

    Raises:
        ConfigError: There is no such preset.
    """
    return read_settings(_FOLDER / _kind_of(name) / f"{name}.yaml")


def read_presets(names: Sequence[str]) -> dict[str, object]:
    """Return the flat settings of several presets together.

    Raises:
        ConfigError: There is no such preset, or two are of one kind.
    """
    settings: dict[str, object] = {}
    chosen: dict[str, str] = {}
    origins: dict[str, str] = {}
    for name in dict.fromkeys(names):
        kind = _kind_of(name)
        if kind in chosen:
            raise ConfigError(
                f"presets {chosen[kind]} and {name} are both for the {kind}; give one of each kind"
            )
        chosen[kind] = name
        for key, value in read_preset(name).items():
            if settings.setdefault(key, value) != value:
                raise ConfigError(
                    f"presets {origins[key]} and {name} disagree on {key} ({settings[key]} and "
                    f"{value}); leave one of them out"
                )
            origins.setdefault(key, name)
    return settings


def _kind_of(name: str) -> str:
    kinds = preset_kinds()
    for kind, names in kinds.items():
        if name in names:
            return kind
    known = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items())
    raise ConfigError(
        f"preset {name!r}: there is no such preset{did_you_mean(name, preset_names())} "
        f"(there are: {known})"
    )
