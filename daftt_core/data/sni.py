"""Task files of Super-NaturalInstructions: one JSON object, read strictly.

The format is that of Wang et al., "Super-NaturalInstructions" (arXiv 2204.07705), and has changed
over time: ``Definition`` is a list in newer files and a text in older ones, and so are outputs;
older instances have no id. Both are read. What is of a wrong type is an error that names file and
field; an instance whose input or output is empty is a gap of the data, and is only counted.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daftt_core.errors import DataError
from daftt_core.records import explain

_MOST_MISTAKES = 5
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class SniInstance(_Part):
    """An input and the outputs that are right for it."""

    input: _Text
    output: _Texts


class SniTask(_Part):
    """A task file, as far as a mixture needs it.

    Attributes:
        definition: The instruction; of several, the first one counts.
        source: The data sets it was made from.
        url: Where they are.
        categories: Kinds of task.
        languages: Languages of inputs and outputs.
        license: License of the instances.
        positive_examples: Solved examples, to be shown before an instance.
        instances: The task's instances.
    """

    definition: _Texts = Field(alias="Definition")
    source: _Texts = Field(default=[], alias="Source")
    url: _Texts = Field(default=[], alias="URL")
    categories: _Texts = Field(default=[], alias="Categories")
    input_language: _Texts = Field(default=[], alias="Input_language")
    output_language: _Texts = Field(default=[], alias="Output_language")
    license: _Texts = Field(default=[], alias="Instance License")
    positive_examples: list[SniInstance] = Field(default=[], alias="Positive Examples")
    instances: list[SniInstance] = Field(alias="Instances")

    @property
    def instruction(self) -> str:
        """The first definition, on one line."""
        return " ".join(self.definition[0].split())

    @property
    def languages(self) -> list[str]:
        """Languages of inputs and outputs, as far as the file says."""
        return [*self.input_language, *self.output_language]


def parse_task(content: bytes, where: str) -> SniTask:
    """Read a task file.

    Args:
        content: The file.
        where: The file, as messages name it.

    Raises:
        DataError: It is not JSON, or a field is missing or of a wrong type.
    """
    try:
        task = SniTask.model_validate_json(content.removeprefix(_BYTE_ORDER_MARK))
    except ValidationError as error:
        raise DataError(_mistakes(error, where)) from None
    return _checked(task, where)


def check_task(fields: dict[str, Any], where: str) -> SniTask:
    """A task from its fields, as a data set holds them.

    Raises:
        DataError: A field is missing or of a wrong type.
    """
    try:
        task = SniTask.model_validate(fields)
    except ValidationError as error:
        raise DataError(_mistakes(error, where)) from None
    return _checked(task, where)


def _checked(task: SniTask, where: str) -> SniTask:
    if not task.definition or not task.instruction:
        raise DataError(f"{where}: Definition: is empty")
    if not task.instances:
        raise DataError(f"{where}: Instances: is empty")
    return task


def _mistakes(error: ValidationError, where: str) -> str:
    found = list(explain(error, SniTask))
    lines = [": ".join(filter(None, (where, *mistake))) for mistake in found[:_MOST_MISTAKES]]
    if len(found) > _MOST_MISTAKES:
        lines.append(f"{where}: there are {len(found) - _MOST_MISTAKES} more mistakes")
    return "\n".join(lines)
