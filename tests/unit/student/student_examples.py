"""Tasks, examples and stages for the tests of students."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daftt_core.records import TRAITS, Example, SyntheticExample, Traits, write_jsonl, write_text
from daftt_core.tasks import Label, Task
from daftt_core.workspace import Run, StageResult, run_stage

WORDS = ["apple", "bread", "chair", "dance", "eagle", "flute", "grape", "house"]


def sentiment_task() -> Task:
    return Task(
        id="sentiment",
        kind="classification",
        description="Is it good?",
        definition="Say whether it is good.",
        writing_definition="Write a text.",
        labels=(
            Label(name="negative", verbalizer="bad"),
            Label(name="positive", verbalizer="good"),
        ),
    )


def reversal_task() -> Task:
    return Task(
        id="reversal",
        kind="text2text",
        description="Two words, the other way round.",
        definition="Write the words in reverse order.",
        writing_definition="Write two words.",
    )


def sentiment_examples(count: int, start: int = 0) -> list[Example]:
    """Sentences in which one word decides the label, and no two are the same."""
    found = []
    for index in range(start, start + count):
        chooser = random.Random(index)
        words = [chooser.choice(WORDS) for _ in range(3 + index % 9)] + [f"n{index % 64}"]
        label = ("negative", "positive")[index % 2]
        words.insert(
            chooser.randrange(len(words)), {"negative": "awful", "positive": "great"}[label]
        )
        found.append(Example.of(" ".join(words), output=label))
    return found


def reversal_examples() -> list[Example]:
    pairs = list(itertools.product(WORDS, WORDS))
    random.Random(0).shuffle(pairs)
    return [Example.of(f"{a} {b}", output=f"{b} {a}") for a, b in pairs]


def vocabulary() -> list[str]:
    return [
        " ".join([*WORDS, "awful", "great", *(f"n{index}" for index in range(64))]),
        "\nOutput:",
    ]


def commit_examples(run: Run, stage: str, files: dict[str, Sequence[Example]]) -> StageResult:
    def work(folder: Path) -> dict[str, Any]:
        if stage == "test":
            lengths = {row.id: len(row.text) for row in files["test"]}
            write_text(folder / TRAITS, Traits(characters=lengths).model_dump_json())
        return {name: write_jsonl(folder / f"{name}.jsonl", rows) for name, rows in files.items()}

    content = [[name, [row.model_dump() for row in rows]] for name, rows in files.items()]
    return run_stage(run, stage, [json.dumps(content)], work)


def synthetic(examples: Sequence[Example], source: str) -> list[SyntheticExample]:
    return [SyntheticExample(**example.model_dump(), source=source) for example in examples]
