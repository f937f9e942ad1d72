"""The description of a task, with checks of every field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationInfo, field_validator

from daftt_core.errors import did_you_mean
from daftt_core.records import Example, Record, composed, normalize
from daftt_core.tasks.label_sets import NO_LABEL, SEPARATOR, join_labels, split_labels
from daftt_core.tasks.metrics import primary_metrics

MOST_ID_CHARACTERS = 64
MOST_LABELS = 1_000
"""The teacher scores every label for every input, and each label needs labelled examples."""
_MOST_NAMED = 20  # in a message

_SHOWS_NOTHING = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]"
    # joiners shape the letters of some scripts, and pictures; beside ASCII they do nothing
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)


class Columns(Record):
    """Which columns of a data file hold the input and the output.

    Attributes:
        text: The input, or the first text of a pair.
        text_pair: The second text of a pair; None where inputs are single texts.
        output: The label, the labels of a multi-label task, or the output text.
        separator: What is between the labels in one cell of a multi-label task's files, where they
            are no JSON list.
    """

    text: str = "text"
    text_pair: str | None = None
    output: str = "label"
    # left out where it says nothing: so tasks of other kinds keep their digests
    separator: str = Field(default=SEPARATOR, exclude_if=lambda value: value == SEPARATOR)

    @field_validator("text", "text_pair", "output")
    @classmethod
    def _check_apart(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and not name.strip():
            hint = "; leave text_pair out where inputs are single texts"
            raise ValueError(f"must name a column{hint if info.field_name == 'text_pair' else ''}")
        name = name if name is None else composed(name)  # as the names in files are compared
        if name is not None and name in info.data.values():
            raise ValueError(f"the column {name!r} serves as another one already")
        return name

    @field_validator("separator")
    @classmethod
    def _check_separator(cls, separator: str) -> str:
        if not separator.strip():
            raise ValueError("must hold more than white space, such as ';', '|' or ','")
        return separator.strip()


class Label(Record):
    """One allowed output of a classification task, or a part of one where these are sets.

    Attributes:
        name: Its name in data and reports.
        verbalizer: As the teacher reads and writes it.
        aliases: Other spellings found in data files, such as ``"1"``.
    """

    name: str = Field(min_length=1)
    verbalizer: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()

    @field_validator("name", "verbalizer")
    @classmethod
    def _check_line(cls, text: str) -> str:
        if text != text.strip() or len(text.splitlines()) != 1 or not spoken(text):
            raise ValueError(f"{text!r} must be one line of text, without white space around it")
        return text

    @property
    def spellings(self) -> frozenset[str]:
        """Return the spellings of this label in data files."""
        return frozenset(map(spelling, (self.name, *self.aliases)))

    @property
    def spoken(self) -> str:
        """Return the verbalizer as an answer is compared with it."""
        return spoken(self.verbalizer)


def spelling(text: str) -> str:
    """Return a label as it is looked up: texts that look alike have one spelling.

    Letters with accents are composed (NFC), white space is single blanks, and invisible characters,
    such as a zero-width space, are left out. Case counts.
    """
    if not text.isascii():
        text = composed(_SHOWS_NOTHING.sub("", text))
    return " ".join(text.split())


def spoken(line: str) -> str:
    """Return an answer as it is compared: its case, spacing and full stop do not count."""
    return normalize(spelling(line).removesuffix("."))


def labels_in(cell: str, separator: str) -> list[str]:
    """Return the labels in a cell, as it spells them: a JSON list, or texts between separators.

    None of them, for the empty set, is an empty list or the word ``none``.
    """
    names = [cell]
    if cell.lstrip().startswith("["):
        try:
            values = json.loads(cell)
        except (ValueError, RecursionError):
            values = [cell]
        names = [value if isinstance(value, str) else json.dumps(value) for value in values]
    elif any(part.strip() for part in cell.split(separator)):
        names = [part.strip() for part in cell.split(separator) if part.strip()]
    return [] if list(map(spelling, names)) == [NO_LABEL] else names


def _check_member(label: Label) -> None:
    """Refuse a label that could not be told from others in the text of a set."""
    for name in (label.name, label.verbalizer, *label.aliases):
        if SEPARATOR in name:
            raise ValueError(f"{name!r} holds {SEPARATOR!r}, which stands between labels")
        if spoken(name) == NO_LABEL:
            raise ValueError(f"{name!r} is kept for inputs that none of the labels applies to")


class _Lookup(NamedTuple):
    """An index of the labels: each row and each answer needs one of them.

    Attributes:
        by_spelling: Names of labels, by their spellings in data files.
        by_answer: Names of labels, by the answers that state them.
        verbalizers: The verbalizer of each name.
    """

    by_spelling: dict[str, str]
    by_answer: dict[str, str]
    verbalizers: dict[str, str]


class Solved(Record):
    """A solved example that the prompts show, in the manner of Super-NaturalInstructions.

    Attributes:
        input: The input; where inputs are pairs, its two texts on a line each.
        output: A label by a name or alias, several of them as in a data file, or a text. Of a
            negative example: a wrong output.
        explanation: Why it is right or wrong; may be left out.
    """

    input: str = Field(min_length=1)
    output: str = Field(min_length=1)
    explanation: str = ""

    @field_validator("input", "output")
    @classmethod
    def _check_text(cls, text: str) -> str:
        if not normalize(text):
            raise ValueError("must hold more than white space")
        return text

    @property
    def lines(self) -> list[str]:
        """Return the lines of the input that hold text."""
        return [line.strip() for line in self.input.splitlines() if line.strip()]


class Splits(Record):
    """The splits of a public data set, by its own names.

    Attributes:
        train: What is learned from.
        dev: None cuts dev from ``train``.
        test: None cuts test from ``train``.
    """

    train: str = Field(default="train", min_length=1)
    dev: str | None = None
    test: str | None = None

    @field_validator("test")
    @classmethod
    def _check_apart(cls, test: str | None, info: ValidationInfo) -> str | None:
        if test is not None and test in (info.data.get("train"), info.data.get("dev")):
            raise ValueError(f"{test!r} serves as another split already; test must be apart")
        return test


class Hub(Record):
    """A public data set, as ``datasets.load_dataset`` finds it.

    Attributes:
        path: Its id on the Hugging Face Hub.
        config: Which of its configurations.
        revision: Commit, branch or tag.
        splits: Which split serves as what.
    """

    path: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
    config: str | None = None
    revision: str = Field(default="main", min_length=1)
    splits: Splits = Field(default_factory=Splits)


class Task(Record):
    """A task.

    Attributes:
        id: Its name, also part of a run's folder.
        version: Of this description; raise it with every change that changes results.
        kind: ``classification`` (an input has one of the labels), ``multilabel`` (any number of
            them) or ``text2text``.
        description: One sentence for people.
        definition: The instruction for answering an input, in the manner of
            Super-NaturalInstructions.
        writing_definition: The instruction for writing an input for a given output.
        labels: The labels, in order; empty for ``text2text``.
        columns: Where a data file holds them.
        positive_examples: Solved examples that every prompt of the task shows.
        negative_examples: Examples with a wrong output, which prompts that ask for one show.
        metric: The metric that arms are compared by; None takes the first of ``primary_metrics``.
        source: Name of the bundled data set, or None when files must be given.
        hub: The public data set, or None where there is none.
        license: License of the data set.
        labelled_count: How many examples of the task's own data are learned from where the
            settings do not say; 0: all that dev and test leave over.
        mixture_exclude: Tasks or sources that must not be in the teacher's mixture, because they
            hold the same data: whole words of a task's name, source or URL. ``source`` is excluded
            in any case.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=MOST_ID_CHARACTERS)
    version: int = Field(default=1, ge=1, strict=True)
    kind: Literal["classification", "multilabel", "text2text"]
    description: str
    definition: str
    writing_definition: str
    labels: tuple[Label, ...] = Field(default=(), validate_default=True)
    columns: Columns = Field(default_factory=Columns)
    positive_examples: tuple[Solved, ...] = ()
    negative_examples: tuple[Solved, ...] = ()
    metric: str | None = None
    source: str | None = None
    hub: Hub | None = None
    license: str | None = None
    labelled_count: int = Field(default=0, ge=0, strict=True)
    mixture_exclude: tuple[str, ...] = ()

    # Fields are checked one by one, each with those before it that are right: so one reading
    # finds every mistake.

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: tuple[Label, ...], info: ValidationInfo) -> tuple[Label, ...]:
        kind = info.data.get("kind")
        if kind == "text2text" and labels:
            raise ValueError("a text2text task has no labels")
        if kind in ("classification", "multilabel") and len(labels) < 2:
            raise ValueError(f"a {kind} task needs at least two labels")
        if len(labels) > MOST_LABELS:
            raise ValueError(
                f"there are {len(labels):,}; a task has at most {MOST_LABELS:,}: join rare ones, "
                "or divide the task"
            )
        names: dict[str, Label] = {}
        answers: dict[str, Label] = {}
        for label in labels:
            if kind == "multilabel":
                _check_member(label)
            for name in sorted(label.spellings):
                other = names.setdefault(name, label)
                if other is not label:
                    raise ValueError(
                        f"{other.name!r} and {label.name!r} share the name or alias {name!r}"
                    )
            other = answers.setdefault(label.spoken, label)
            if other is not label:
                raise ValueError(
                    f"{other.name!r} and {label.name!r} share the verbalizer "
                    f"{label.verbalizer!r} (case and full stop do not count)"
                )
        return labels

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: Columns, info: ValidationInfo) -> Columns:
        for label in info.data.get("labels", ()) if info.data.get("kind") == "multilabel" else ():
            for name in (label.name, *label.aliases):
                if columns.separator in name:
                    raise ValueError(
                        f"separator: {columns.separator!r} is part of the label {name!r}; name "
                        "another one, or write JSON lists into the file"
                    )
        return columns

    @field_validator("definition", "writing_definition")
    @classmethod
    def _check_instruction(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must hold more than white space")
        return text

    @field_validator("positive_examples", "negative_examples")
    @classmethod
    def _check_examples(
        cls, examples: tuple[Solved, ...], info: ValidationInfo
    ) -> tuple[Solved, ...]:
        labels: tuple[Label, ...] = info.data.get("labels", ())
        columns = info.data.get("columns")
        known = [name for label in labels for name in (label.name, *label.aliases)]
        allowed = ", ".join(known[:_MOST_NAMED]) + (", ..." if len(known) > _MOST_NAMED else "")
        spellings = {text for label in labels for text in label.spellings}
        problems = []
        for number, example in enumerate(examples, start=1):
            outputs = [example.output]
            if info.data.get("kind") == "multilabel" and columns:
                outputs = labels_in(example.output, columns.separator)
            for output in outputs if labels else ():
                if spelling(output) not in spellings:
                    problems.append(
                        f"example {number}: the output {output!r} is no label"
                        f"{did_you_mean(output, known)} (allowed: {allowed})"
                    )
            if columns and columns.text_pair and len(example.lines) != 2:
                problems.append(
                    f"example {number}: the input must be two lines, one for {columns.text!r} and "
                    f"one for {columns.text_pair!r}, not {len(example.lines)}"
                )
        if problems:
            raise ValueError("\n".join(problems))
        return examples

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, metric: str | None, info: ValidationInfo) -> str | None:
        known = primary_metrics(info.data.get("kind", ""))
        if known and metric is not None and metric not in known:
            raise ValueError(
                f"a {info.data['kind']} task cannot be compared by {metric!r}"
                f"{did_you_mean(metric, known)} (allowed: {', '.join(known)})"
            )
        return metric

    @property
    def is_classification(self) -> bool:
        """Return whether outputs are labels, or sets of them."""
        return self.kind != "text2text"

    @property
    def is_multilabel(self) -> bool:
        """Return whether an output is a set of labels; such a task is a classification too."""
        return self.kind == "multilabel"

    @property
    def label_names(self) -> list[str]:
        """Return the names of the labels, in order."""
        return [label.name for label in self.labels]

    @property
    def primary_metric(self) -> str:
        """Return the metric that arms are compared by."""
        return self.metric or primary_metrics(self.kind)[0]

    def label_for(self, text: str) -> str | None:
        """Return the label's name for a name or alias as a data file spells it, or None."""
        return self._lookup.by_spelling.get(spelling(text))

    def labels_in(self, cell: str) -> list[str]:
        """Return the labels in a cell of a data file, as it spells them.

        They are one, the cell itself, or those of a set (:func:`labels_in`).
        """
        return labels_in(cell, self.columns.separator) if self.is_multilabel else [cell]

    def output_of(self, labels: Collection[str]) -> str:
        """Return labels by name, one or those of a set, as an output of this task."""
        if not self.is_multilabel:
            (label,) = labels
            return label
        return join_labels(name for name in self.label_names if name in labels)

    def labels_of(self, output: str) -> list[str]:
        """Return the names of the labels of an output: one, or those of a set."""
        return split_labels(output) if self.is_multilabel else [output]

    def allows(self, output: str) -> bool:
        """Return whether a text is an output of this task, as :meth:`output_of` writes it."""
        labels = self.labels_of(output)
        return set(labels) <= set(self.label_names) and self.output_of(labels) == output

    def probability_of(self, output: str, distribution: Mapping[str, float]) -> float:
        """Return the probability of an output, given that of each label.

        Labels of a set are taken for independent: it is the probability that all of its labels
        apply, and no other one does.
        """
        if not self.is_multilabel:
            return distribution[output]
        chosen = set(self.labels_of(output))
        return math.prod(p if label in chosen else 1 - p for label, p in distribution.items())

    def label_said_by(self, line: str) -> str | None:
        """Return the name of the label that a line states, or None.

        The label is the whole line, in upper or lower case, with or without full stop.
        """
        return self._lookup.by_answer.get(spoken(line))

    def verbalize(self, output: str) -> str:
        """Return an output as the teacher reads and writes it."""
        words = self._lookup.verbalizers
        if self.is_multilabel:
            return join_labels(words[label] for label in self.labels_of(output))
        return words.get(output, output)

    @cached_property
    def _lookup(self) -> _Lookup:
        return _Lookup(
            {text: label.name for label in self.labels for text in label.spellings},
            {label.spoken: label.name for label in self.labels},
            {label.name: label.verbalizer for label in self.labels},
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the task; the copy may have other labels."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_lookup", None)
        return copied

    def example_of(self, solved: Solved) -> Example:
        """Return a solved example of this task as its data would hold it."""
        pair = self.columns.text_pair is not None
        text, *rest = solved.lines if pair else [solved.input.strip()]
        output = solved.output.strip()
        if self.labels:
            names = [self.label_for(name) or name for name in self.labels_in(solved.output)]
            output = self.output_of(names)
        return Example.of(text, rest[0] if rest else None, output=output)
