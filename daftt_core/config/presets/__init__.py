"""Settings that fit together: for teachers of several sizes and their machines, and for students.

A preset is a YAML file of flat settings beside this module. What a user gives wins over it. One for
a teacher and one for a student go together; two that set the same differently do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from daftt_core.config.flat import read_settings
from daftt_core.errors import ConfigError, did_you_mean

__all__ = ["preset_names", "read_preset", "read_presets"]

_FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """All presets, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def read_preset(name: str) -> dict[str, object]:
    """The flat settings of a preset.

    Raises:
        ConfigError: There is no such preset.
    """
    names = preset_names()
    if name not in names:
        raise ConfigError(
            f"preset {name!r}: there is no such preset{did_you_mean(name, names)} "
            f"(there are: {', '.join(names)})"
        )
    return read_settings(_FOLDER / f"{name}.yaml")


def read_presets(names: Sequence[str]) -> dict[str, object]:
    """The flat settings of several presets together.

    Raises:
        ConfigError: There is no such preset, or two of them disagree.
    """
    settings: dict[str, object] = {}
    origins: dict[str, str] = {}
    for name in names:
        for key, value in read_preset(name).items():
            if settings.setdefault(key, value) != value:
                raise ConfigError(
                    f"presets {origins[key]} and {name} disagree on {key} ({settings[key]} and "
                    f"{value}); give one preset for the teacher and one for the student at most"
                )
            origins.setdefault(key, name)
    return settings
