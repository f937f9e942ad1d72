"""How long the answers of all students take, against the plain way for each.

    python benchmarks/student_predictions.py
    python benchmarks/student_predictions.py --examples 100 --arms 1 --rounds 1

The students are MiniLM with newly drawn heads, which take as long as trained ones; the examples
are movie reviews of the demo. DAFTT tokenizes them once for all arms, puts those of like length
together, and lets the students of an arm answer side by side. The peer is what one would write with
transformers: for each student a text-classification pipeline, loaded from its folder, with batches
of 64 in the order of the examples. They take turns, and the median counts. Labels are compared.
Beside the time on the clock is the processor time, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from rounds import take_turns
from transformers import pipeline

from daftt_core.config import StudentConfig, from_flat
from daftt_core.data import prepare
from daftt_core.modeling import Template, be_quiet, limit_threads, save_model, set_seeds
from daftt_core.preflight import resolve
from daftt_core.records import Example
from daftt_core.student import Questions
from daftt_core.tasks import Task
from daftt_core.workspace import read_examples

_BATCH_SIZE = 64


def main() -> None:
    """Measure; prints a line for each way and round, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--arms", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=StudentConfig().model)
    given = parser.parse_args()
    be_quiet()
    threads = limit_threads()
    config = from_flat({"data_dev_count": given.examples})
    student = StudentConfig(model=given.model, seeds=given.seeds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = resolve(config).model_copy(update={"uri": name})
        data = prepare(run, config.data).digest
        examples = read_examples(run, "data", data, "dev")
        arms = {
            f"arm-{arm}": _students(folder / f"arm-{arm}", student, run.task)
            for arm in range(given.arms)
        }
        print(
            f"{given.model}: {given.arms} arms of {given.seeds} students, {len(examples)} examples "
            f"each, {threads} threads"
        )
        ways: dict[str, Callable[[], list[str]]] = {
            "daftt": lambda: _ours(run.task, student, examples, arms),
            "plain": lambda: _plain(student, examples, arms),
        }
        labels = take_turns(ways, given.rounds)
        same = statistics.mean(map(str.__eq__, labels["daftt"], labels["plain"]))
        print(f"{same:.2%} of {len(labels['daftt'])} labels are the same")


def _students(folder: Path, config: StudentConfig, task: Task) -> list[Path]:
    template = Template(config.model, task.label_names)
    targets = [folder / f"seed-{seed}" for seed in range(config.seeds)]
    for seed, target in enumerate(targets):
        set_seeds(seed)
        save_model(template.start(), template.tokenizer, target)
    return targets


def _ours(
    task: Task, config: StudentConfig, examples: list[Example], arms: dict[str, list[Path]]
) -> list[str]:
    questions = Questions(task, config, examples)
    return [
        prediction.output
        for arm, students in arms.items()
        for answers in questions.ask_all(students, arm, [].append)
        for prediction in answers
    ]


def _plain(
    config: StudentConfig, examples: list[Example], arms: dict[str, list[Path]]
) -> list[str]:
    labels = []
    texts = [example.text for example in examples]
    for students in arms.values():
        for folder in students:
            classify = pipeline("text-classification", model=str(folder), batch_size=_BATCH_SIZE)
            answers = classify(texts, truncation=True, max_length=config.max_length)
            labels += [answer["label"] for answer in answers]
    return labels


if __name__ == "__main__":
    main()
