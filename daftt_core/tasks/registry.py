"""Finding a task by its name or by the path of its file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from daftt_core.errors import TaskError, did_you_mean
from daftt_core.tasks.task import Task

__all__ = ["builtin_tasks", "load_task"]


def builtin_tasks() -> list[str]:
    """Names of the tasks that come with DAFTT."""
    folder = resources.files("daftt_core.tasks") / "builtin"
    return sorted(
        file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")
    )


def load_task(name: str) -> Task:
    """Read a task.

    Args:
        name: A built-in task's name, or the path of a YAML file.

    Raises:
        TaskError: The task is unknown, or its file is wrong; names every mistake.
    """
    if name.endswith((".yaml", ".yml")):
        try:
            return _parse(name, Path(name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise TaskError(f"task {name}: cannot be read: {reason}") from None
    known = builtin_tasks()
    if name not in known:
        raise TaskError(
            f"task: there is no task {name!r}{did_you_mean(name, known)} "
            f"(known: {', '.join(known)}; or give the path of a .yaml file)"
        )
    file = resources.files("daftt_core.tasks") / "builtin" / f"{name}.yaml"
    return _parse(name, file.read_text(encoding="utf-8"))


def _parse(name: str, text: str) -> Task:
    try:
        return Task.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise TaskError(f"task {name}: is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        mistakes = "\n".join(
            f"task {name}: {'.'.join(map(str, e['loc'])) or 'task'}: "
            f"{e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise TaskError(mistakes) from None
