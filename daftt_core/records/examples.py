"""What flows between the stages: examples, synthetic examples, predictions, and their JSONL files.

An example's id is a digest of its *normalized* input, so the same text in another case or spacing
has the same id in every split, shard and table. Deduplication, leakage checks, resuming and paired
statistics all compare ids and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from daftt_core.errors import DataError
from daftt_core.records.files import appearing
from daftt_core.records.parsing import explain
from daftt_core.records.text import normalize

# json.dumps would make an encoder on each call
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


def digest(*parts: object, length: int = 16) -> str:
    """Return a stable hexadecimal digest of JSON-like values and models.

    Args:
        parts: Strings, numbers, lists, dicts or pydantic models; their order counts.
        length: Number of hexadecimal digits, at most 64.
    """
    hasher = hashlib.sha256()
    for part in parts:
        value = part.model_dump(mode="json") if isinstance(part, BaseModel) else part
        # half the time of an id is the encoder's otherwise
        text = "null" if value is None else str(value) if type(value) is int else _encode(value)
        hasher.update(text.encode())
        hasher.update(b"\0")
    return hasher.hexdigest()[:length]


def content_id(text: str, text_pair: str | None = None) -> str:
    """Return the id of an example with this input."""
    return digest(normalize(text), None if text_pair is None else normalize(text_pair))


def seed_for(seed: int, *names: str) -> int:
    """Return a 63-bit seed for one random choice, whatever other choices come before it.

    Args:
        seed: The run's seed.
        names: Names of the choice, such as a purpose and an example id.
    """
    return int(digest(seed, *names), 16) >> 1


class Record(BaseModel):
    """A frozen model of finite numbers, to which an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Example(Record):
    """One input, with its output where that is known.

    Attributes:
        id: :func:`content_id` of the input.
        text: The input, or the first of two.
        text_pair: The second input of a pair task.
        output: The label's name (classification) or the target text; None where it is unknown.
    """

    id: str
    text: str
    text_pair: str | None = None
    output: str | None = None

    @classmethod
    def of(cls, text: str, text_pair: str | None = None, output: str | None = None) -> Example:
        """Make an example, with an id derived from its input."""
        return cls(id=content_id(text, text_pair), text=text, text_pair=text_pair, output=output)


class TextSample(Record):
    """One of several texts that the teacher wrote as the output of one input.

    Attributes:
        text: The text.
        agreement: Mean agreement with the other samples, in [0, 1].
        probability: Geometric mean of the model's own probabilities of its tokens.
        problem: Why it cannot be used; such a sample agrees with none.
    """

    text: str
    agreement: float
    probability: float
    problem: str | None = None


class SyntheticExample(Example):
    """An example whose output, or input and output, the teacher wrote.

    Attributes:
        source: Whether the input is real (``annotated``) or written by the teacher (``generated``).
        confidence: Of ``output``, in [0, 1]: the calibrated probability of a label; of a text, its
            mean agreement with the other samples, or, where it is the only one, the geometric mean
            of the model's own probabilities of its tokens.
        distribution: Calibrated probability of every label; empty for text outputs.
        samples: The texts that ``output`` was chosen from; empty where only one was written.
        asked: The output the teacher was asked to write an input for; None when annotated.
        shown: Ids of the real examples that the prompt showed, in their order.
        problem: Why the teacher's answer could not be used; None when it could.
        origin: The id it had before curation changed its text; None where it is unchanged.
        shortened: Whether the teacher was shown its input without the end.
    """

    source: Literal["annotated", "generated"]
    confidence: float = 0.0
    distribution: dict[str, float] = {}
    samples: tuple[TextSample, ...] = ()
    asked: str | None = None
    shown: tuple[str, ...] = ()
    problem: str | None = None
    origin: str | None = None
    shortened: bool = False


class Rejection(Record):
    """A synthetic example that was not kept.

    Attributes:
        example: What was rejected.
        reason: The name of the filter that rejected it.
        detail: The filter's finding, in words.
        collides_with: Id of the example it is too close to, where that is the reason.
    """

    example: SyntheticExample
    reason: str
    detail: str = ""
    collides_with: str | None = None


class Prediction(Record):
    """A model's answer to one example.

    Attributes:
        id: The example's id.
        arm: The arm the student belongs to; ``teacher`` for the teacher.
        seed: The student's seed; the run's for the teacher.
        gold: The true output.
        output: The model's output.
        distribution: Probability of every label; empty for text outputs.
    """

    id: str
    arm: str
    seed: int
    gold: str
    output: str
    distribution: dict[str, float] = {}


TRAITS = "traits.json"
"""File of the test examples' :class:`Traits`, beside the examples and beside the predictions."""


class Traits(Record):
    """Properties of the test examples beside their outputs, by which the evaluation slices.

    Attributes:
        characters: Length of each input, by the example's id.
        column: Name of the user's column; empty where none was chosen.
        values: Its value for each example, by id; empty where no column was chosen.
    """

    characters: dict[str, int]
    column: str = ""
    values: dict[str, str] = {}


R = TypeVar("R", bound=BaseModel)


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> int:
    """Write records as JSON lines; the file appears complete or not at all.

    Returns:
        The number of records written.
    """
    count = 0
    with appearing(path) as partial, partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record.model_dump_json() + "\n")
            count += 1
    return count


def read_jsonl(path: Path, model: type[R]) -> list[R]:
    """Read records written by :func:`write_jsonl`.

    Raises:
        DataError: The file is missing, or a line does not hold such a record.
    """
    return list(iterate_jsonl(path, model))


def iterate_jsonl(path: Path, model: type[R]) -> Iterator[R]:
    """Iterate over the records of :func:`read_jsonl`, for files that need not fit in memory."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield model.model_validate_json(line)
            except ValidationError as error:
                field, problem = next(explain(error, model))
                raise DataError(f"{path}, line {number}: {field or 'line'}: {problem}") from None
