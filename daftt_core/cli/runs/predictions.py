"""Answers of a student to a file or a stream of inputs, written row by row."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from daftt_core.cli.local.watch import display_for
from daftt_core.cli.printing import say
from daftt_core.cli.tables import PlainConsole
from daftt_core.data import Input, is_table, read_table, read_texts
from daftt_core.errors import ConfigError, DataError
from daftt_core.records import appearing, visible
from daftt_core.tasks import Task
from daftt_core.telemetry import Progress, watched_by

if TYPE_CHECKING:
    from daftt_core.registry.serving import Servable
    from daftt_core.student.prediction import Answer

_AT_ONCE = 512  # inputs that are read, answered and written together
_FORMS = {".csv": "csv", ".jsonl": "jsonl"}


def predict(
    source: Servable, file: Path | None, out: Path | None, form: str | None, keep: Sequence[str]
) -> None:
    """Answer every input of a file, or of standard input.

    Args:
        source: The student.
        file: The file; None reads standard input.
        out: The file to write, which appears complete or not at all; None writes to stdout.
        form: ``csv`` or ``jsonl``; None takes it from the name of ``out``.
        keep: Columns of the file that are written too.

    Raises:
        ConfigError: The options contradict each other or the task.
        DataError: An input cannot be used; names file and line.
        ModelError: The student cannot answer.
    """
    form = _checked_form(file, out, form)
    columns = _Columns.of(source.facts.task, keep, file)
    is_stream = file is None or file.is_fifo() or file.is_char_device()
    # a file is read twice: a mistake in its last line is found before the first answer
    total = None if is_stream else sum(1 for _ in _inputs(file, columns))
    if file is None and sys.stdin.isatty():
        say("Type one text a line; Ctrl-D ends.", err=True)
    with _sink(out) as stream:
        write = _writer(stream, form, columns)
        for given, answer in _answers(source, _inputs(file, columns), total):
            write(columns.row(given, answer, form))


def _checked_form(file: Path | None, out: Path | None, form: str | None) -> str:
    if out is None:
        return form or "csv"
    if file and out.exists() and file.exists() and out.samefile(file):
        raise ConfigError(f"--out: {out}: is the file that is read; name another")
    form = form or _FORMS.get(out.suffix.lower())
    if form is None:
        endings = " or ".join(_FORMS)
        raise ConfigError(f"--out: {out}: its name must end in {endings}, or give --format")
    return form


@dataclass(frozen=True)
class _Columns:
    """Names of what is written.

    Attributes:
        task: The task.
        keep: Columns of the file that are written too.
        output: The answer's; another than the true one's, where that is kept.
        line, probability, probabilities: What DAFTT adds, under names that no other column has.
    """

    task: Task
    keep: tuple[str, ...]
    output: str
    line: str
    probability: str
    probabilities: str

    @classmethod
    def of(cls, task: Task, keep: Sequence[str], file: Path | None) -> _Columns:
        if keep and (file is None or not is_table(file)):
            raise ConfigError(f"--keep: {keep[0]!r}: only a file with columns has others to keep")
        columns = task.columns
        inputs = (columns.text, columns.text_pair)
        kept = tuple(name for name in dict.fromkeys(keep) if name not in inputs)
        output = f"predicted_{columns.output}" if columns.output in kept else columns.output
        taken = {*inputs, *kept, output}
        added = (_free(name, taken) for name in ("line", "probability", "probabilities"))
        return cls(task, kept, output, *added)

    def names(self) -> list[str]:
        """Return the columns of a table."""
        inputs = filter(None, (self.task.columns.text, self.task.columns.text_pair))
        probability = [self.probability] * self.task.is_classification
        return [self.line, *self.keep, *inputs, self.output, *probability]

    def row(self, given: Input, answer: Answer, form: str) -> dict[str, Any]:
        """Return an answer as a row."""
        columns, example = self.task.columns, given.example
        row = {self.line: given.line, **given.kept, columns.text: example.text}
        if columns.text_pair:
            row[columns.text_pair] = example.text_pair
        row[self.output] = answer.output
        if answer.distribution:
            confidence = self.task.probability_of(answer.output, answer.distribution)
            row[self.probability] = round(confidence, 6)
            if form == "jsonl":
                row[self.probabilities] = answer.distribution
        return row


def _free(name: str, taken: set[str | None]) -> str:
    while name in taken:
        name = f"{name}_"
    return name


def _inputs(file: Path | None, columns: _Columns) -> Iterator[Input]:
    task = columns.task
    if file is None:
        yield from read_texts(sys.stdin.buffer, "standard input", task)
    elif is_table(file):
        yield from read_table(file, task, columns.keep)
    else:
        try:
            with file.open("rb") as lines:
                yield from read_texts(lines, str(file), task)
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def _answers(
    source: Servable, inputs: Iterator[Input], total: int | None
) -> Iterator[tuple[Input, Answer]]:
    """Yield each input with its answer; say on stderr how far it is."""
    from daftt_core.modeling import limit_threads  # loads torch
    from daftt_core.student.prediction import Predictor

    limit_threads()
    facts = source.facts
    say(f"# {source.title}", err=True)
    predictor = Predictor(source.model, facts.task, facts.max_length, facts.max_target_length)
    done = 0
    with _shown(total) as progress:
        while batch := list(islice(inputs, _AT_ONCE)):
            answers = predictor.answer([given.example for given in batch], progress.advance)
            yield from zip(batch, answers, strict=True)
            done += len(batch)
    cut = f"; longer than {facts.max_length} tokens, so that the end was cut: {predictor.cut}"
    say(f"# inputs answered: {done}{cut if predictor.cut else ''}", err=True)


@contextmanager
def _shown(total: int | None) -> Iterator[Progress]:
    """Show progress on stderr: a bar on a terminal, unless answers scroll by there."""
    if sys.stdout.isatty():
        yield Progress("predict", total, "inputs")
        return
    display = display_for(PlainConsole(stderr=True))
    display.started("predict")
    try:
        with watched_by(lambda snapshot: display.moved("predict", snapshot)):
            yield Progress("predict", total, "inputs")
    finally:
        display.close()


@contextmanager
def _sink(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    with appearing(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file


def _writer(stream: IO[str], form: str, columns: _Columns) -> Callable[[dict[str, Any]], None]:
    """Return what writes a row to a stream; a terminal gets visible characters only."""
    target: Any = _Visible(stream) if stream.isatty() else stream
    if form == "jsonl":
        return lambda row: target.write(json.dumps(row, ensure_ascii=False) + "\n")
    table = csv.DictWriter(target, columns.names(), lineterminator="\n")
    table.writeheader()
    return table.writerow


class _Visible:
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(visible(text))
