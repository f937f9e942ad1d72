"""Tasks: what the inputs are, which outputs are allowed, and how the teacher is asked.

A task is one YAML file. Those in ``builtin/`` are known by name; any other is given by its path.
"""

from daftt_core.tasks.prompts import (
    FIELD_NAME,
    TURN,
    Prompt,
    answer_prompt,
    mixture_prompt,
    parse_answer,
    parse_input,
    writing_prompt,
)
from daftt_core.tasks.registry import builtin_tasks, load_task
from daftt_core.tasks.task import Columns, Label, Task

__all__ = [
    "FIELD_NAME",
    "TURN",
    "Columns",
    "Label",
    "Prompt",
    "Task",
    "answer_prompt",
    "builtin_tasks",
    "load_task",
    "mixture_prompt",
    "parse_answer",
    "parse_input",
    "writing_prompt",
]
