"""What a sweep varies, as options of the commands that start one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from daftt_core.config import Config, to_flat

__all__ = ["sweep_parameters", "take_variations", "with_variations"]

_DEFAULTS = {
    "fractions": "0.01,0.02,0.05,0.1",
    "ratios": "1,4,16,0",
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
_PODS = "cluster_"


def with_variations(command: Any) -> Any:
    """Give a command the options that say what a sweep varies; None where one is not given."""
    for name in reversed(_HELP):
        text = f"{_HELP[name]} [default: {_DEFAULTS[name]}]"
        command = click.option(f"--{name}", metavar="A,B,...", help=text)(command)
    return command


def take_variations(given: dict[str, Any]) -> dict[str, str | None]:
    """Take the values of those options out of a command's; None where one was not given."""
    return {name: given.pop(name) for name in _HELP}


def sweep_parameters(
    config: Config, variations: Mapping[str, str | None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of the sweep's pipeline.

    Args:
        config: The settings that all cells share.
        variations: What :func:`take_variations` took: values separated by commas; None takes the
            default.

    Returns:
        Those that lay out the cells, and those of the pods.
    """
    flat = to_flat(config)
    varied: dict[str, Any] = {
        "settings": {name: value for name, value in flat.items() if not name.startswith(_PODS)}
    }
    for name, text in variations.items():
        words = (_DEFAULTS[name] if text is None else text).split(",")
        varied[name] = [word.strip() for word in words if word.strip()]
    return varied, {name: value for name, value in flat.items() if name.startswith(_PODS)}
