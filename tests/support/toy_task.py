"""A toy task for tests: is a remark about a meal kind? Single words tell, so tiny models learn."""

from __future__ import annotations

import csv
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import yaml

KIND = ("lovely", "tasty", "warm", "fresh", "perfect", "generous")
UNKIND = ("stale", "cold", "bland", "burnt", "soggy", "sour")
DISHES = ("soup", "bread", "stew", "salad", "pie", "rice", "fish", "pasta")
MOMENTS = ("today", "again", "yesterday", "tonight", "here")
TASK = {
    "id": "meals",
    "kind": "classification",
    "description": "Is a remark about a meal kind?",
    "definition": "Say whether the remark is kind or unkind.",
    "writing_definition": "Write a remark that is kind or unkind.",
    "labels": [
        {"name": "kind", "verbalizer": "kind"},
        {"name": "unkind", "verbalizer": "unkind"},
    ],
    "columns": {"text": "remark", "output": "tone"},
}


def remarks() -> list[tuple[str, str]]:
    """All remarks with their labels, shuffled."""
    rows = [
        (f"the {dish} was {first} and {second} {moment}", label)
        for label, words in (("kind", KIND), ("unkind", UNKIND))
        for dish in DISHES
        for first, second in itertools.permutations(words, 2)
        for moment in MOMENTS
    ]
    random.Random(0).shuffle(rows)
    return rows


def vocabulary() -> list[str]:
    """Texts that hold every word the toy task and its prompts use."""
    prompts = [str(TASK["definition"]), str(TASK["writing_definition"])]
    return [text for text, _ in remarks()] + prompts + ["Definition: Input: Output: kind unkind\n"]


def write_task(folder: Path) -> Path:
    """Write the task's file; returns its path."""
    path = folder / "meals.yaml"
    path.write_text(yaml.safe_dump(TASK), encoding="utf-8")
    return path


def write_remarks(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """Write remarks with their labels as CSV; returns the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["remark", "tone"])
        writer.writerows(rows)
    return path
