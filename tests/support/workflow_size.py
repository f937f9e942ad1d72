"""How large the Argo Workflow of a whole run becomes, by Kubeflow Pipelines' own rules.

Argo keeps a workflow, its specification and the state of every node, in one object of at most
1 MiB (``workflow/packer/packer.go``); beyond that it compresses the nodes, and Kubeflow Pipelines
then stops reading them. What a node holds is read in the compiler of Kubeflow Pipelines 2.17.0
(``backend/src/v2/compiler/argocompiler``): a task of a container has a driver, given the JSON of
its component, task, container and platform settings, and an executor and its pod, both given the
patch of the pod that the driver made; a task with a graph of its own has a driver and a node.

A run of an earlier pipeline with 162 parameters on a real cluster had 214 nodes, a specification
of 338 kB and 330 kB of compressed nodes. These rules give it 208 nodes, 267 kB and 153 kB, so what
they give is multiplied by the quotients.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

_NODE_BYTES = 900  # id, names, times, phase, host, template, children, resources' use
_TEMPLATE_BYTES = 1500  # of a driver's or an executor's template, without what it is given
_STEPS = "dag"
_REAL_SPECIFICATION = 338 / 267
_REAL_PACKED = 330 / 153


@dataclass(frozen=True)
class WorkflowSize:
    """What a workflow holds, in bytes.

    Attributes:
        specification: Templates and arguments.
        nodes: The state of all nodes as JSON.
        packed: The same, compressed as Argo does.
        count: How many nodes there are.
        pods: How many pods have run: a driver for each task, loop and iteration, and one for the
            whole; and an executor for each task that is a container.
    """

    specification: int
    nodes: int
    packed: int
    count: int
    pods: int


class _Nodes:
    def __init__(self, compiled: Path, loops: Mapping[str, int]) -> None:
        documents = list(yaml.safe_load_all(compiled.read_text(encoding="utf-8")))
        self.spec = documents[0]
        self.platform: dict[str, Any] = {}
        if len(documents) > 1:
            deployment = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]
            self.platform = deployment["executors"]
        self.loops = loops
        self.nodes: list[str] = []
        self.pods = 1

    def run(self, component: dict[str, Any]) -> None:
        """Add the nodes of each task of a graph."""
        for name, task in component["dag"]["tasks"].items():
            iterations = 1
            if "parameterIterator" in task:
                iterations = self.loops.get(task["taskInfo"]["name"], 1)
                self._add(f"{_json(task)}{name}")
                self.pods += 1
            for index in range(iterations):
                self._task(name, task, index)

    def _task(self, name: str, task: dict[str, Any], index: int) -> None:
        component = self.spec["components"][task["componentRef"]["name"]]
        given = f"{_json(component)}{_json(task)}{name}{index}"
        if _STEPS in component:
            self._add(given)  # its driver
            self._add(f"{name}{index}")
            self.pods += 1
            self.run(component)
            return
        self.pods += 2
        label = component["executorLabel"]
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        patch = _json(container) + _json(task.get("inputs", {}))  # with the inputs' values
        self._add(given + _json(container) + _json(self.platform.get(label, {})) + patch)
        self._add(patch)  # the executor
        self._add(patch)  # its pod

    def _add(self, given: str) -> None:
        # each template has a retry strategy (templateDefaults), so a retry's node is above each
        for _ in range(2):
            node = f"{len(self.nodes)}{given}"
            own = sha256(node.encode()).hexdigest() * (_NODE_BYTES // 64)
            self.nodes.append(own + json.dumps(given))


def workflow_size(compiled: Path, loops: Mapping[str, int]) -> WorkflowSize:
    """Return the size of a run's workflow at its end.

    Args:
        compiled: The compiled pipeline.
        loops: Iterations of each loop, by its title; else one.
    """
    nodes = _Nodes(compiled, loops)
    nodes.run(nodes.spec["root"])
    parts = [*nodes.spec["components"].values(), *nodes.platform.values()]
    parts += nodes.spec["deploymentSpec"]["executors"].values()
    arguments = sum(len(json.dumps(_json(part))) for part in parts)
    graphs = [nodes.spec["root"], *(c for c in nodes.spec["components"].values() if _STEPS in c)]
    tasks = [task for graph in graphs for task in graph["dag"]["tasks"].values()]
    templates = sum(len(json.dumps(_json(task))) + _TEMPLATE_BYTES for task in tasks)
    text = "".join(sorted(nodes.nodes))  # by their ids, which are hashes
    packed = len(b64encode(gzip.compress(text.encode())))
    return WorkflowSize(
        specification=round((arguments + templates) * _REAL_SPECIFICATION),
        nodes=len(text),
        packed=round(packed * _REAL_PACKED),
        count=len(nodes.nodes),
        pods=nodes.pods,
    )


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
