"""Loading of a task by its name, by the path of its file, or from the file's text."""

from __future__ import annotations

from importlib import resources

from daftt_core.errors import StorageError, TaskError, did_you_mean
from daftt_core.records import parse_document
from daftt_core.storage import read_object
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
    try:
        data = read_object(uri)
        if data is None:
            raise TaskError(f"task {uri}: there is no such file")
        return data.decode()
    except StorageError as error:
        raise TaskError(f"task {uri}: cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise TaskError(f"task {uri}: cannot be read: it is not UTF-8") from None


def parse_task(name: str, text: str) -> Task:
    """Read a task from the text of its file.

    Args:
        name: The task, as messages name it.
        text: YAML.

    Raises:
        TaskError: It is wrong; names every mistake.
    """
    return parse_document(text, Task, f"task {name}", TaskError)
