"""Small hand-written data sets with exactly the columns of the public ones, one for each task.

They lie in ``data/tasks/<task>.jsonl``: 20 rows, in which labels take turns. Sets of labels are
lists, or texts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["COLUMNS", "rows_of", "write_splits"]

COLUMNS = {
    "ag-news": ["text", "label"],
    "boolq": ["question", "answer", "passage"],
    "e2e": ["meaning_representation", "human_reference"],
    "movie-reviews": ["text", "label"],
    "past-tense": ["verb", "past_tense"],
    "rte": ["sentence1", "sentence2", "label", "idx"],
    "samsum": ["id", "dialogue", "summary"],
    "word-classes": ["word", "classes"],
    "sst2": ["sentence", "label", "idx"],
}
"""The columns of the public data sets, as their pages have them."""

_SPLITS = {"train": slice(0, 12), "dev": slice(12, 16), "test": slice(16, 20)}


def rows_of(task: str) -> list[dict[str, Any]]:
    """The rows of a task's data set."""
    path = Path(__file__).parents[1] / "data" / "tasks" / f"{task}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_splits(task: str, folder: Path) -> dict[str, str]:
    """Write the rows as three files; their paths by the settings that name them."""
    rows, paths = rows_of(task), {}
    for name, part in _SPLITS.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[part]), encoding="utf-8")
        paths[f"data_{name}"] = str(path)
    return paths
