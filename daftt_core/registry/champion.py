"""The champion's answers to the current test examples.

With the students' own predictions, this is all that reads the test examples: it leaves answers,
and the length of each input in words. What decides reads only those.
"""

from __future__ import annotations

import json
from pathlib import Path

from daftt_core.errors import StorageError
from daftt_core.heldout import words_of
from daftt_core.modeling import context_length, limit_threads, load_classifier, load_seq2seq
from daftt_core.progress import Progress
from daftt_core.records import Prediction, write_jsonl
from daftt_core.registry.models import Lineage
from daftt_core.storage import write_text
from daftt_core.student.prediction import answer
from daftt_core.workspace import Run, read_examples

__all__ = ["ANSWERS", "LENGTHS", "answer_test"]

ANSWERS = "champion.jsonl"
LENGTHS = "lengths.json"


def answer_test(run: Run, model: Path, lineage: Lineage, folder: Path) -> None:
    """Let the champion answer the test examples of a run.

    Writes ``champion.jsonl``, of :class:`Prediction`, and ``lengths.json``: words by example id.

    Args:
        run: The run.
        model: Folder of the champion, verified.
        lineage: The champion's.
        folder: Where the files go.

    Raises:
        StorageError: The stage ``test`` is missing or was made anew, or an example has no output.
        ModelError: The champion cannot be loaded.
    """
    limit_threads()
    examples = read_examples(run, "test", None, "test")
    task, student = run.task, lineage.student
    loaded = (
        load_classifier(model, task.label_names) if task.is_classification else load_seq2seq(model)
    )
    limit = min(student.max_length, context_length(*loaded) or student.max_length)
    progress = Progress("predict test with the champion", len(examples), "answers")
    answers = answer(
        *loaded,
        task,
        examples,
        max_length=limit,
        max_target_length=student.max_target_length,
        on_batch=progress.advance,
    )
    predictions = []
    for example, one in zip(examples, answers, strict=True):
        if example.output is None:
            raise StorageError(f"example {example.id}: has no output to compare an answer with")
        predictions.append(
            Prediction(
                id=example.id,
                arm=lineage.arm,
                seed=lineage.seed,
                gold=example.output,
                output=one.output,
                distribution=one.distribution,
            )
        )
    lengths = {
        one.id: len(words_of(one.text)) + len(words_of(one.text_pair or "")) for one in examples
    }
    write_text(folder / LENGTHS, json.dumps(lengths))
    write_jsonl(folder / ANSWERS, predictions)
