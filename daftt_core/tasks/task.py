"""The description of a task, checked when it is read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from daftt_core.records import normalize

__all__ = ["Columns", "Label", "Task"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(_Part):
    """Which columns of a data file hold the input and the output."""

    text: str = "text"
    text_pair: str | None = None
    output: str = "label"


class Label(_Part):
    """One allowed output of a classification task.

    Attributes:
        name: As it is stored and reported.
        verbalizer: As the teacher reads and writes it.
        aliases: Other spellings found in data files, such as ``"1"``.
    """

    name: str = Field(min_length=1)
    verbalizer: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()

    @field_validator("name", "verbalizer")
    @classmethod
    def _check_line(cls, text: str) -> str:
        if text != text.strip() or len(text.splitlines()) != 1 or not normalize(_bare(text)):
            raise ValueError(f"{text!r} must be one line of text, without white space around it")
        return text

    @property
    def spoken(self) -> str:
        """The verbalizer as an answer is compared with it."""
        return normalize(_bare(self.verbalizer))

    def is_said_by(self, line: str) -> bool:
        """Whether a line states this label: whole, but in any case, with or without full stop."""
        return normalize(_bare(line.strip())) == self.spoken


def _bare(line: str) -> str:
    return line.removesuffix(".")


class Task(_Part):
    """A task.

    Attributes:
        id: Its name, also part of a run's folder.
        kind: ``classification`` or ``text2text``.
        description: One sentence for people.
        definition: The instruction for answering an input, in the manner of
            Super-NaturalInstructions.
        writing_definition: The instruction for writing an input for a given output.
        labels: The allowed outputs, in order; empty for ``text2text``.
        columns: Where a data file holds them.
        source: Name of the bundled data set, or None when files must be given.
        license: License of the bundled data set.
        mixture_exclude: Tasks or sources that must not be in the teacher's mixture, because they
            hold the same data: whole words of a task's name, source or URL. ``source`` is left out
            without being named here.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: Literal["classification", "text2text"]
    description: str
    definition: str = Field(min_length=1)
    writing_definition: str = Field(min_length=1)
    labels: tuple[Label, ...] = ()
    columns: Columns = Columns()
    source: str | None = None
    license: str | None = None
    mixture_exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_labels(self) -> Task:
        if self.kind == "text2text":
            if self.labels:
                raise ValueError("a text2text task has no labels")
            return self
        if len(self.labels) < 2:
            raise ValueError("a classification task needs at least two labels")
        spellings = [s for label in self.labels for s in {label.name, *label.aliases}]
        verbalizers = [label.spoken for label in self.labels]
        if len(set(spellings)) < len(spellings) or len(set(verbalizers)) < len(verbalizers):
            raise ValueError("two labels share a name, an alias or a verbalizer")
        return self

    @property
    def is_classification(self) -> bool:
        """Whether outputs are labels."""
        return self.kind == "classification"

    @property
    def label_names(self) -> list[str]:
        """The allowed outputs, in order."""
        return [label.name for label in self.labels]

    def label_for(self, spelling: str) -> str | None:
        """The label's name for a spelling found in a data file, or None."""
        for label in self.labels:
            if spelling == label.name or spelling in label.aliases:
                return label.name
        return None

    def verbalize(self, output: str) -> str:
        """An output as the teacher reads and writes it."""
        return next((label.verbalizer for label in self.labels if label.name == output), output)
