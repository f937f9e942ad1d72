"""The picture of the pipeline, drawn from the compiled pipeline and from nothing else.

    python docs/picture.py

Steps are placed in layers, each below all that it waits for (longest path), as K. Sugiyama, S.
Tagawa and M. Toda do in "Methods for visual understanding of hierarchical system structures"
(1981); an arrow that other arrows imply is left out.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import networkx as nx
import yaml

__all__ = ["draw", "read_steps", "write"]

HERE = Path(__file__).parent
COMPILED = HERE.parent / "pipelines/compiled/daftt.yaml"
TARGET = HERE / "images/pipeline.svg"

_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN, _ROUND = 250, 46, 274, 76, 16, 7
_STYLE = """
text { font: 14px system-ui, sans-serif; fill: #16212c; text-anchor: middle }
.note { font-size: 11px; fill: #4d5c6b }
rect { fill: #fff; stroke: #35618f; stroke-width: 1.5 }
.many { fill: #dfeaf5 }
path { fill: none; stroke: #6b7c8d; stroke-width: 1.5 }
.ground { fill: #f7f9fb; stroke: none }
"""


def write() -> None:
    """Write the picture that the pages show."""
    TARGET.write_text(draw(read_steps(COMPILED)), encoding="utf-8")


def read_steps(compiled: Path) -> nx.DiGraph:
    """The steps of a compiled pipeline, without the groups they are in.

    Args:
        compiled: A pipeline in KFP's intermediate form.

    Returns:
        Nodes have ``label`` and ``note``; edges run from a step to one that waits for it.
    """
    specification = next(yaml.safe_load_all(compiled.read_text(encoding="utf-8")))
    graph = nx.DiGraph()
    _add(graph, specification, specification["root"]["dag"], "", [])
    reduced = nx.transitive_reduction(graph)
    reduced.add_nodes_from(graph.nodes(data=True))
    return reduced


def _add(
    graph: nx.DiGraph, pipeline: dict[str, Any], dag: dict[str, Any], note: str, after: list[str]
) -> list[str]:
    """Add a group's steps, which wait for those of ``after``; gives those nothing in it follows."""
    components, tasks = pipeline["components"], dag["tasks"]
    ends: dict[str, list[str]] = {}
    order = nx.DiGraph((before, name) for name in tasks for before in _before(tasks[name]))
    order.add_nodes_from(tasks)
    for name in nx.lexicographical_topological_sort(order):
        task = tasks[name]
        component = components[task["componentRef"]["name"]]
        waits = [end for one in _before(task) for end in ends[one]] or after
        said = _note(task) or note
        if "dag" in component:
            ends[name] = _add(graph, pipeline, component["dag"], said, waits)
            continue
        step = f"{len(graph):03d} {name}"
        graph.add_node(step, label=task["taskInfo"]["name"], note=said)
        graph.add_edges_from((one, step) for one in waits)
        ends[name] = [step]
    inner = {one for name in tasks for one in _before(tasks[name])}
    return [end for name in ends if name not in inner for end in ends[name]]


def _before(task: dict[str, Any]) -> list[str]:
    return list(task.get("dependentTasks", ()))


def _note(task: dict[str, Any]) -> str:
    """What is special about a step or a group of them, in words."""
    policy = task.get("triggerPolicy", {})
    if "parameterIterator" in task:
        return f"all {task['taskInfo']['name'].lower()} side by side"
    if policy.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED":
        return "always, after a failure too"
    return ""


def draw(steps: nx.DiGraph) -> str:
    """The picture of steps, an SVG."""
    places = _places(steps)
    width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">',
        "<title>The steps of the pipeline, each below those it waits for</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M1 1 7 4 1 7"/></marker></defs>',
        f'<rect class="ground" width="{width:g}" height="{height:g}" rx="8"/>',
        *(_arrow(places[one], places[other]) for one, other in sorted(steps.edges)),
        *(_box(places[step], **steps.nodes[step]) for step in sorted(steps)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _places(steps: nx.DiGraph) -> dict[str, tuple[float, float]]:
    """The upper left corner of each step's box.

    A step whose arrow passes other layers stands to the right of all that lie in its way.
    """
    layers = [sorted(layer) for layer in nx.topological_generations(steps)]
    depths = {step: depth for depth, layer in enumerate(layers) for step in layer}
    aside = sorted(one for one, other in steps.edges if depths[other] > depths[one] + 1)
    inside = [[step for step in layer if step not in aside] for layer in layers]
    columns = {step: column for layer in inside for column, step in enumerate(layer)}
    columns |= {step: max(map(len, inside)) + place for place, step in enumerate(aside)}
    return {
        step: (_MARGIN + _ACROSS * column, _MARGIN + _DOWN * depths[step])
        for step, column in columns.items()
    }


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """From the foot of a box down, across in the gap above the other box, and down to its head."""
    (x0, y0), (x1, y1) = start, end
    x0, x1, y0 = x0 + _WIDTH / 2, x1 + _WIDTH / 2, y0 + _HEIGHT
    across = ""
    if x0 != x1:
        level = y1 - (_DOWN - _HEIGHT) / 2
        round_ = _ROUND if x1 > x0 else -_ROUND
        across = (
            f"V{level - _ROUND:g} Q{x0:g} {level:g} {x0 + round_:g} {level:g} "
            f"H{x1 - round_:g} Q{x1:g} {level:g} {x1:g} {level + _ROUND:g} "
        )
    return f'<path marker-end="url(#tip)" d="M{x0:g} {y0:g} {across}V{y1 - 2:g}"/>'


def _box(place: tuple[float, float], label: str, note: str) -> str:
    x, y = place
    kind = ' class="many"' if "side by side" in note else ""
    middle, line = x + _WIDTH / 2, y + (20 if note else 28)
    said = f'<text class="note" x="{middle:g}" y="{y + 37:g}">{escape(note)}</text>' if note else ""
    return (
        f'<rect{kind} x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<text x="{middle:g}" y="{line:g}">{escape(label)}</text>{said}'
    )


if __name__ == "__main__":
    write()
