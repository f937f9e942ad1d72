"""The parameters' descriptions in the Kubeflow UI come from the configuration."""

import inspect
from collections.abc import Callable

from daftt_core.config import flat_fields

__all__ = ["describe_parameters"]


def describe_parameters(pipeline: Callable[..., None]) -> Callable[..., None]:
    """Append the settings among a pipeline function's parameters to its docstring's ``Args``."""
    text = inspect.getdoc(pipeline) or ""
    known = flat_fields()
    lines = [
        f"    {name}: {known[name].description}"
        for name in inspect.signature(pipeline).parameters
        if name in known
    ]
    start = [] if "\nArgs:" in text else ["", "Args:"]
    pipeline.__doc__ = "\n".join([text, *start, *lines])
    return pipeline
