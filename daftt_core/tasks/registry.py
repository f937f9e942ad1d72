"""Loading of a task by its name, by the path of its file, or from the file's text."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from daftt_core.errors import StorageError, TaskError, did_you_mean
from daftt_core.records import explain, parse_yaml
from daftt_core.storage import open_storage
from daftt_core.tasks.task import Task


def builtin_tasks() -> list[str]:
    """Return the names of the tasks that come with DAFTT."""
    folder = resources.files("daftt_core.tasks") / "builtin"
    return sorted(
        file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")
    )


def load_task(task: str) -> Task:
    """Return a task.

    Args:
        task: The name of a built-in task, the path or URI of a YAML file, or the text of such a
            file.

    Raises:
        TaskError: The task is unknown, or its file is wrong; names every mistake.
    """
    if "\n" in task.strip():
        return parse_task("(the text given)", task)
    if task.endswith((".yaml", ".yml")):
        return parse_task(task, read_task_file(task))
    known = builtin_tasks()
    if task not in known:
        raise TaskError(
            f"task: there is no task {task!r}{did_you_mean(task, known)} "
            f"(known: {', '.join(known)}; or give the path of a .yaml file)"
        )
    file = resources.files("daftt_core.tasks") / "builtin" / f"{task}.yaml"
    return parse_task(task, file.read_text(encoding="utf-8"))


def read_task_file(uri: str) -> str:
    """Return the text of a task's file, on this machine or in a bucket.

    Raises:
        TaskError: It cannot be read.
    """
    folder, _, name = uri.rpartition("/")
    problem: object
    try:
        if "://" not in uri:
            return Path(uri).read_text(encoding="utf-8")
        content = open_storage(folder).read(name)
        if content is not None:
            return content.data.decode()
        problem = "there is no such file"
    except StorageError as error:
        problem = error
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except OSError as error:
        problem = error.strerror
    raise TaskError(f"task {uri}: cannot be read: {problem}")


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
        mistakes = explain(error, Task)
        lines = [f"task {name}: {field or 'the file'}: {problem}" for field, problem in mistakes]
        raise TaskError("\n".join(lines)) from None
