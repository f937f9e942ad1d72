"""Objects held against the real CRDs, which are not kept in the repository."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_CRDS = Path(os.environ.get("DAFTT_CRDS", _ROOT.parent / "shared" / "crds"))


def schema(file: str) -> dict[str, Any]:
    path = _CRDS / file
    if not path.is_file():
        pytest.skip(
            f"{path} is missing; get it with: kubectl get crd -o yaml "
            f"{'.'.join(reversed(path.stem.split('_')))} > FILE, and set DAFTT_CRDS to its folder"
        )
    with path.open(encoding="utf-8") as file_:
        crd = yaml.load(file_, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return _strict(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def _strict(node: Any) -> Any:
    """The schema with unknown fields refused: the API server would drop them without a word."""
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    strict = {key: _strict(value) for key, value in node.items()}
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if node.get("type") == "object" and isinstance(node.get("properties"), dict):
        free = node.get("x-kubernetes-preserve-unknown-fields", False)
        strict.setdefault("additionalProperties", free)
    return strict


def validate(manifest: dict[str, Any], rules: dict[str, Any]) -> None:
    checked = copy.deepcopy(manifest)
    checked["metadata"] = {}  # the CRD leaves metadata to the API server
    metadata = rules["properties"]["metadata"]
    metadata["additionalProperties"] = True
    jsonschema.Draft7Validator(rules).validate(checked)
