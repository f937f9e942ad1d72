"""Tasks: their inputs, the allowed outputs, and the teacher's prompts.

A task is one YAML file. Those in ``builtin/`` are known by name; any other is given by its path.
"""

from daftt_core.tasks.answers import Form, Forms, parse_answer, parse_input
from daftt_core.tasks.label_sets import NO_LABEL, join_labels, split_labels
from daftt_core.tasks.metrics import METRICS, Metric, primary_metrics
from daftt_core.tasks.prompts import (
    FIELD_NAME,
    NO,
    TURN,
    YES,
    Prompt,
    answer_prompt,
    answer_prompts,
    mixture_prompt,
    writing_prompt,
)
from daftt_core.tasks.proposals import (
    propose_columns,
    propose_kind,
    propose_outputs,
    propose_separator,
    several_labels,
)
from daftt_core.tasks.registry import builtin_tasks, load_task, parse_task, read_task_file
from daftt_core.tasks.snippet import CUE, prediction_code
from daftt_core.tasks.task import (
    MOST_ID_CHARACTERS,
    MOST_LABELS,
    Columns,
    Hub,
    Label,
    Solved,
    Splits,
    Task,
    labels_in,
    spelling,
    spoken,
)

__all__ = [
    "CUE",
    "FIELD_NAME",
    "METRICS",
    "MOST_ID_CHARACTERS",
    "MOST_LABELS",
    "NO",
    "NO_LABEL",
    "TURN",
    "YES",
    "Columns",
    "Form",
    "Forms",
    "Hub",
    "Label",
    "Metric",
    "Prompt",
    "Solved",
    "Splits",
    "Task",
    "answer_prompt",
    "answer_prompts",
    "builtin_tasks",
    "join_labels",
    "labels_in",
    "load_task",
    "mixture_prompt",
    "parse_answer",
    "parse_input",
    "parse_task",
    "prediction_code",
    "primary_metrics",
    "propose_columns",
    "propose_kind",
    "propose_outputs",
    "propose_separator",
    "read_task_file",
    "several_labels",
    "spelling",
    "split_labels",
    "spoken",
    "writing_prompt",
]
