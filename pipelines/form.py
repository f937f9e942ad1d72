"""The descriptions of the form's fields come from the configuration."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from daftt_core.config import form_descriptions

__all__ = ["describe_form", "inputs_of"]


def describe_form(pipeline: Callable[..., None]) -> Callable[..., None]:
    """Append the fields among a pipeline function's parameters to its docstring's ``Args``."""
    text = inspect.getdoc(pipeline) or ""
    known = form_descriptions()
    lines = [
        f"    {name}: {known[name]}"
        for name in inspect.signature(pipeline).parameters
        if name in known
    ]
    start = [] if "\nArgs:" in text else ["", "Args:"]
    pipeline.__doc__ = "\n".join([text, *start, *lines])
    return pipeline


def inputs_of(component: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some values that a component takes, by their names."""
    return {name: values[name] for name in component.component_spec.inputs}
