"""The descriptions of the form's fields come from the configuration."""

import inspect
from collections.abc import Callable

from daftt_core.config import form_descriptions

__all__ = ["describe_form"]


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
