"""The parameters' descriptions in the Kubeflow UI come from the configuration."""

from collections.abc import Callable

from daftt_core.config import flat_fields

__all__ = ["describe_parameters"]


def describe_parameters(pipeline: Callable[..., None]) -> Callable[..., None]:
    """Append an ``Args`` section to a pipeline function's docstring, which kfp reads."""
    lines = [f"    {name}: {field.description}" for name, field in flat_fields().items()]
    pipeline.__doc__ = "\n".join([pipeline.__doc__ or "", "", "Args:", *lines])
    return pipeline
