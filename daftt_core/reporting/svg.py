"""What all figures have in common: SVG that takes its colours and fonts from the page around it.

Each colour is drawn as a marker (a hex code nothing else uses) and then replaced by one of the
page's CSS variables, so that one drawing serves the light and the dark theme. Figures are 400
units wide: text in them is legible on a phone. The same numbers give the same bytes.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daftt_core.records import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "new_figure", "to_svg"]

COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "rule": "#010205",
    "accent": "#010206",
    "second": "#010207",
    "surface": "#010208",
}
_UNITS_PER_INCH = 72
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_FONT = re.compile(r"font-family: [^;]*;? ?")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "daftt",
    "text.parse_math": False,
    "font.size": 13,
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.8,
    "legend.frameon": False,
}


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of this size in SVG units, in the report's style."""
    import matplotlib as mpl  # half a second that the command line need not spend
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width / _UNITS_PER_INCH, height / _UNITS_PER_INCH))


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an element for a page.

    Args:
        figure: What was drawn inside :func:`new_figure`.
        name: Begins all ids in it; unique on the page.
        title: What it shows, for those who hear it.
        description: Its numbers in words, for the same.
    """
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314  (matplotlib's own output)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)  # its style rule would apply to the whole page
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _adapt(key, value, name))
    for tag, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = visible(text)
        root.insert(0, element)
    root.attrib.pop("width")
    root.attrib.pop("height")
    root.attrib.pop("version", None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _adapt(key: str, value: str, name: str) -> str:
    """One attribute of matplotlib's drawing, made fit for a page with other figures on it."""
    if key == "id":
        return f"{name}-{value}"
    if value.startswith("#"):
        return f"#{name}-{value[1:]}"
    value = value.replace("url(#", f"url(#{name}-")
    value = _FONT.sub("", value)
    for variable, marker in COLOURS.items():
        value = value.replace(marker, f"var(--{variable})")
    return value
