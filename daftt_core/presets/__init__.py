"""Settings that fit together, for teachers of several sizes and the machines they need.

A preset is a YAML file of flat settings beside this module. What a user gives wins over it.
"""

from __future__ import annotations

from pathlib import Path

from daftt_core.config import read_settings
from daftt_core.errors import ConfigError, did_you_mean

__all__ = ["preset_names", "read_preset"]

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
