"""Task files of Super-NaturalInstructions: one JSON object, read strictly.

The format is that of Wang et al., "Super-NaturalInstructions" (arXiv 2204.07705), and has changed
over time: ``Definition`` is a list in newer files and a text in older ones, and so are outputs;
older instances have no id. Both are read. A field of a wrong type is an error that names file and
field; an instance whose input or output is empty is a gap in the data, and is only counted.
"""

from __future__ import annotations

import codecs
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daftt_core.errors import DataError
from daftt_core.records import explain

_MAX_MISTAKES = 5


def _as_list(value: object) -> object:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _check_text(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a NUL or half a surrogate pair, which is no text")
    return text


_Text = Annotated[str, AfterValidator(_check_text)]
_Texts = Annotated[list[_Text], BeforeValidator(_as_list)]


class SniInstance(BaseModel):
    """An input and the outputs that are right for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input: _Text
    output: _Texts


class SniTask(BaseModel):
    """A task file, as far as a mixture needs it.

    Attributes:
        definition: The instruction; of several, the first one counts.
        source: The data sets it was made from.
        url: Where they are.
        license: License of the instances.
        positive_examples: Solved examples, to be shown before an instance.
        instances: The task's instances.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    definition: _Texts = Field(alias="Definition")
    source: _Texts = Field(default=[], alias="Source")
    url: _Texts = Field(default=[], alias="URL")
    input_language: _Texts = Field(default=[], alias="Input_language")
    output_language: _Texts = Field(default=[], alias="Output_language")
    license: _Texts = Field(default=[], alias="Instance License")
    positive_examples: list[SniInstance] = Field(default=[], alias="Positive Examples")
    instances: list[SniInstance] = Field(alias="Instances")

    @property
    def instruction(self) -> str:
        """Return the first definition, on one line."""
        return " ".join(self.definition[0].split())

    @property
    def languages(self) -> list[str]:
        """Return the languages of inputs and outputs, as far as the file names them."""
        return [*self.input_language, *self.output_language]


def parse_task(content: bytes | dict[str, Any], where: str) -> SniTask:
    """Read a task.

    Args:
        content: A task file, or its fields as a data set holds them.
        where: Where it is, for messages.

    Raises:
        DataError: It is not JSON, or a field is missing, empty or of a wrong type.
    """
    try:
        if isinstance(content, bytes):
            task = SniTask.model_validate_json(content.removeprefix(codecs.BOM_UTF8))
        else:
            task = SniTask.model_validate(content)
    except ValidationError as error:
        mistakes = list(explain(error, SniTask))
        lines = [": ".join(filter(None, (where, *part))) for part in mistakes[:_MAX_MISTAKES]]
        if len(mistakes) > _MAX_MISTAKES:
            lines.append(f"{where}: there are {len(mistakes) - _MAX_MISTAKES} more mistakes")
        raise DataError("\n".join(lines)) from None
    if not task.definition or not task.instruction:
        raise DataError(f"{where}: Definition: is empty")
    if not task.instances:
        raise DataError(f"{where}: Instances: is empty")
    return task
