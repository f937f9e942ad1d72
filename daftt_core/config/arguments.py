r"""Texts on their way through a pipeline, made so that nothing on it replaces a part of them.

What a stage is given passes through several programs that look for patterns in it and put
something else in their place:

- Kubeflow Pipelines and Argo: ``{{$.inputs...}}``, ``{{$}}``, ``{{workflow.name}}``.
- kfp.local: those, ``/kfp-workspace``, and ``python3``, which it takes for the interpreter.
- Kubernetes, in the command of a pod: ``$(NAME)``, and ``$$``, which becomes ``$``.

In JSON any character may be written as ``\uXXXX``: written so, the patterns are no longer there,
and whoever reads the JSON has the text again. A text that is no JSON travels as such, behind a
mark, wherever it holds a pattern; all others travel as they are.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel

_MARK = "json:"
_REPLACED = re.compile(r"\{(?=\{)|\$|(?<=python)3|/(?=kfp-workspace)")


def as_argument(value: Any) -> Any:
    """A setting's value as it is handed to a pipeline; :func:`from_argument` is the way back.

    Args:
        value: A text, a number, or a list or mapping of such; names in a mapping stay as they are.
    """
    if isinstance(value, dict):
        return {name: as_argument(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_argument(item) for item in value]
    if isinstance(value, str) and (_REPLACED.search(value) or value.startswith(_MARK)):
        return _MARK + _hidden(json.dumps(value, ensure_ascii=False))
    return value


def from_argument(value: Any) -> Any:
    r"""The value that :func:`as_argument` handed to the pipeline.

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
    """A model as JSON that is handed from stage to stage, or to a job; any JSON reader reads it."""
    return _hidden(model.model_dump_json())


def _hidden(text: str) -> str:
    """A JSON text in which nothing is found that would be replaced.

    Outside of its strings JSON holds none of the patterns, so what is escaped is always a
    character of a string.
    """
    return _REPLACED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
