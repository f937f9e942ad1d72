"""What data suggest about their task: columns, kind and labels, for a person to confirm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daftt_core.errors import DataError
from daftt_core.tasks.task import Columns
from daftt_core.words import words_of

__all__ = ["propose_columns", "propose_kind"]

_MOST_LABELS = 20
_MOST_LABEL_CHARACTERS = 60
_LEAST_OF_EACH = 2
_OUTPUTS = (
    *("label", "labels", "class", "category", "sentiment", "topic", "intent", "target"),
    *("output", "summary", "answer", "response", "completion", "reference"),
    *("queue", "team", "department", "priority", "urgency"),
)
_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "passage"),
    ("question", "context"),
    ("text1", "text2"),
)


def propose_kind(outputs: Sequence[str]) -> str:
    """``classification`` where few short outputs come again and again, else ``text2text``."""
    found = {output.strip() for output in outputs} - {""}
    few = 2 <= len(found) <= min(_MOST_LABELS, len(outputs) // _LEAST_OF_EACH)
    short = all(len(output) <= _MOST_LABEL_CHARACTERS for output in found)
    return "classification" if few and short else "text2text"


def propose_columns(table: Mapping[str, Sequence[str]]) -> Columns:
    """Which columns may hold inputs and outputs, by their names and by what they hold.

    Raises:
        DataError: There is only one column.
    """
    if len(table) < 2:
        raise DataError(f"there is one column, {next(iter(table))!r}; a task needs two at least")
    output = _output(table)
    rest = [name for name in table if name != output]
    for one, other in _PAIRS:
        if one in rest and other in rest:
            return Columns(text=one, text_pair=other, output=output)
    return Columns(text=max(rest, key=lambda name: sum(map(len, table[name]))), output=output)


def _output(table: Mapping[str, Sequence[str]]) -> str:
    named = {name.casefold(): name for name in table}
    for name in _OUTPUTS:
        if name in named:
            return named[name]
    labels = [name for name in table if propose_kind(table[name]) == "classification"]
    if not labels:
        return list(table)[-1]
    telling = [name for name in labels if set(words_of(name)) & set(_OUTPUTS)]
    return min(
        telling or labels,
        key=lambda name: (len(set(table[name])), sum(map(len, table[name]))),
    )
