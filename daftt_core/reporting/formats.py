"""Numbers as the report and the terminal show them: the same everywhere."""

from __future__ import annotations

from daftt_core.tasks import METRICS

__all__ = [
    "NONE",
    "coverage",
    "gain",
    "memory",
    "metric_title",
    "number",
    "p_value",
    "percent",
    "score",
    "share",
    "size",
]

NONE = "\u2013"
"""Stands for a number that does not exist, such as the gain of the arm all are compared with."""

_MINUS = "\u2212"


def percent(value: float | None) -> str:
    """A score in [0, 1], or a spread of such scores, times 100: ``82.1``."""
    return NONE if value is None else _signed(f"{100 * value:.1f}")


def score(value: float, metric: str) -> str:
    """A score with the sign of percent where that is usual: ``82.1%``, ``41.3``."""
    return f"{percent(value)}%" if metric == "accuracy" else percent(value)


def metric_title(metric: str) -> str:
    """A metric as people read it: ``macro F1``."""
    return METRICS[metric].title if metric in METRICS else metric


def gain(value: float | None) -> str:
    """A difference that is in points already, with its sign: ``+12.9``."""
    return NONE if value is None else _signed(f"{value:+.1f}")


def share(value: float | None) -> str:
    """A share in whole percent: ``81%``."""
    return NONE if value is None else _signed(f"{100 * value:.0f}%")


def coverage(value: float) -> str:
    """Coverage of an interval, to the last digit: ``95%``, ``99.5%``."""
    return f"{100 * value:g}%"


def p_value(value: float | None) -> str:
    """A p-value with as many digits as matter: ``0.032``, ``<0.001``."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def number(value: int | None) -> str:
    """A count: ``1,500``."""
    return NONE if value is None else f"{value:,}"


def memory(size_bytes: int) -> str:
    """Memory in GiB, the unit in which machines are bought: ``1.24 GiB``."""
    return f"{size_bytes / 2**30:.2f} GiB" if size_bytes else NONE


def size(size_bytes: int) -> str:
    """Size on disk in decimal units, as file managers show it: ``91.2 MB``."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)
