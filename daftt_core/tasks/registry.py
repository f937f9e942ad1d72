"""Finding a task by its name or by the path of its file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from daftt_core.errors import TaskError, did_you_mean
from daftt_core.records import explain, parse_yaml
from daftt_core.tasks.task import Task

__all__ = ["builtin_tasks", "load_task", "parse_task"]


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
            return parse_task(name, Path(name).read_text(encoding="utf-8"))
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
    return parse_task(name, file.read_text(encoding="utf-8"))


def parse_task(name: str, text: str) -> Task:
    """Read a task from the text of its file.

    Args:
        name: The task, as messages name it.
        text: YAML.

    Raises:
        TaskError: It is wrong; names every mistake.
    """
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise TaskError(f"task {name}: is not YAML: {error}") from None
    try:
        return Task.model_validate(content)
    except ValidationError as error:
        found = explain(error, Task)
        lines = [f"task {name}: {field or 'the file'}: {said}" for field, said in found]
        raise TaskError("\n".join(lines)) from None
