"""The champion's answers to the current test examples.

With the students' own predictions, this is all that reads the test examples: it leaves answers,
and what decides reads only those.
"""

from __future__ import annotations

from pathlib import Path

from daftt_core.modeling import limit_threads
from daftt_core.records import write_jsonl
from daftt_core.registry.models import Lineage
from daftt_core.stages import TEST
from daftt_core.student.prediction import Questions
from daftt_core.telemetry import Progress
from daftt_core.workspace import Run, read_examples

ANSWERS = "champion.jsonl"


def answer_test(run: Run, model: Path, lineage: Lineage, folder: Path) -> None:
    """Let the champion answer the test examples of a run, as ``champion.jsonl`` in a folder.

    Args:
        run: The run.
        model: Folder of the champion, verified.
        lineage: The champion's.
        folder: Where the answers go, each a :class:`daftt_core.records.examples.Prediction`.

    Raises:
        StorageError: The stage ``test`` is missing or was changed.
        DataError: A test example has no output to compare with.
        ModelError: The champion cannot be loaded.
    """
    limit_threads()
    examples = read_examples(run, TEST, None, "test")
    progress = Progress("predict test with the champion", len(examples), "answers")
    questions = Questions(run.task, lineage.student, examples)
    predictions = questions.ask(model, lineage.arm, lineage.seed, progress.advance)
    write_jsonl(folder / ANSWERS, predictions)
